// Package fanout knows channels and messages and no sockets: what a message
// looks like on each wire, who subscribes to what within a shard, and how
// messages get here from Redis.
//
// The Broker numbers what Redis delivers and hands it to its members, the
// shards. Each shard has an Index that leads from a channel to its
// subscribers. A Position or a Cursor says where in the channels a client
// stands, and Broker.Replay gives it what it has missed.
package fanout
