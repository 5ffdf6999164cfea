// Package tlsclient is the TLS side of the many clients of one loop. While its handshake goes on a
// connection is a coroutine of the loop; afterwards it is a tlsrecord.State of 112 bytes, where a
// tls.Conn takes 10 to 19 KB. The package touches no socket: it is given what was received, and
// returns what is to be sent.
package tlsclient
