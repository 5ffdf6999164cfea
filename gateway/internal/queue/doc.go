// Package queue holds the pending output of clients whose send buffers in the kernel are full: a
// queue for each client, and the sum of their memory over the shards.
package queue
