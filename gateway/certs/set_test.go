package certs

import (
	"crypto/tls"
	"testing"
)

func TestSelfSigned(t *testing.T) {
	c := DefaultConfig()
	c.SelfSigned = true
	s, err := Load(c)
	if err != nil {
		t.Fatal(err)
	}
	got := s.Certificates()
	if len(got) != 1 || got[0].Name != "localhost" || got[0].KeyType != "ECDSA P-256" || s.Changed() {
		t.Errorf("%+v", got)
	}
	again, err := s.Reload(c)
	if err != nil || again.Certificates()[0].Fingerprint != got[0].Fingerprint {
		t.Errorf("reloaded: %v, another certificate", err)
	}
	cert, err := s.TLS().GetCertificate(&tls.ClientHelloInfo{ServerName: "localhost"})
	if err != nil || cert.Leaf.VerifyHostname("127.0.0.1") != nil {
		t.Errorf("%v", err)
	}
}
