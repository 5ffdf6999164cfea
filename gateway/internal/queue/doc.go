// Package queue holds what waits for clients because the kernel's send buffers are
// full: a queue a client, and the sum of their memory over shards.
package queue
