// Package configs holds the reference configuration, so that the programs can
// show it without the repository at hand.
package configs

import _ "embed"

// Gateway is gateway.yaml: every key of the gateway with its default. The
// first line of a key's comment is its help on the command line.
//
//go:embed gateway.yaml
var Gateway []byte
