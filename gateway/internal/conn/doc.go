// Package conn keeps a loop's connections as bytes. It accepts sockets or rejects them, learns from
// a proxy who the client is, reads, writes, queues output that the kernel refuses, watches over
// deadlines, and closes. It is the only package above the reactor that knows descriptors; what the
// bytes mean is for its Handler to know.
//
// A connection is known by its slot, a small number that is reused once the connection is gone.
// Everything here belongs to the loop's goroutine, except for Shared.
package conn
