package gateway

import "github.com/pushgate/pushgate/gateway/certs"

// TLSAddr returns the address of the TLS listener as bound, empty without one.
func (s *Server) TLSAddr() string { return "" }

// Certificates returns the certificates in use, nil without a TLS listener.
func (s *Server) Certificates() *certs.Set { return nil }
