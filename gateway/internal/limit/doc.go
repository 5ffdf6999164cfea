// Package limit bounds how often and how many: token buckets, connections from
// an address, and lines in the log.
package limit
