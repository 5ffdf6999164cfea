// Package protocol holds what the protocols below it share: the parameters of a request for
// messages, its token, and the gateway's own messages to clients.
package protocol
