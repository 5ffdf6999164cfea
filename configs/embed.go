// Package configs holds the reference configuration and the scripts for Redis, so
// that the programs have them without the repository at hand.
package configs

import _ "embed"

// Gateway is gateway.yaml: every key of the gateway with its default. The
// first line of a key's comment is its help on the command line.
//
//go:embed gateway.yaml
var Gateway []byte

// Publish is publish.lua, which publishes a durable message.
//
//go:embed publish.lua
var Publish string

// Forget is forget.lua, which forgets the history of a channel.
//
//go:embed forget.lua
var Forget string
