// Package tlsrecord keeps a TLS connection at the price of an idle one: crypto/tls carries out the
// handshake, and this package takes over the traffic keys and protects records with them. What is
// left of a connection is a State of 112 bytes without a pointer, where a tls.Conn takes 9 to 13 KB.
//
// It speaks TLS 1.3 (RFC 8446, 5) and TLS 1.2 with the AEAD suites (RFC 5246, 6.2.3.3; RFC 5288;
// RFC 7905), on both sides. The ciphers are Go's and golang.org/x/crypto's. Its own are the framing,
// the nonces and the counters under them, key updates and alerts.
package tlsrecord
