// Package slab holds what connections have beside their slot, without a pointer
// in it: in tables for what few of them have, by sparse arrays for what all may.
package slab
