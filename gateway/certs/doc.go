// Package certs has the certificates of the public listener: the section tls of the
// configuration, the files that it names, and their faults.
//
// Load reads the files into a Set, which never changes. A Set makes the tls.Config for
// handshakes, and tells when a file was replaced, which is the time to load another.
package certs
