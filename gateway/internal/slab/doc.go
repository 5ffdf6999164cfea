// Package slab stores per-connection data outside the connection's slot, which then needs no
// pointers: in tables if few connections have any, in sparse arrays if all may.
package slab
