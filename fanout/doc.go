// Package fanout brings messages that are published in Redis to the shards of a
// process, and publishes messages itself. It knows no sockets.
//
// The Broker numbers the messages of each channel and hands them to its sinks,
// the shards. Broker.Replay gives a client that comes back the messages that it
// has missed. Messages, positions and cursors are in package message below; a
// shard leads each message to its subscribers with package index.
package fanout
