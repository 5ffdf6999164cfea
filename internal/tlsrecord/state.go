package tlsrecord

import (
	"crypto/tls"
	"fmt"
)

// State is one side of a connection after its handshake. Only a Layer changes it, and it must not be
// copied to be used twice: the same record number would be sealed again.
//
// In TLS 1.3 the key and IV for the server's records are kept. Those for the client's, which rarely
// sends, are derived from its secret for each record.
type State struct {
	outSecret [32]byte // TLS 1.3: traffic secret; TLS 1.2: key
	inSecret  [32]byte
	key       [16]byte // TLS 1.3: of the kept direction, if it fits; TLS 1.2: the input's IV
	iv        [12]byte // TLS 1.3: of the kept direction; TLS 1.2: the output's
	outSeq    uint32   // number of the next record
	inSeq     uint32
	suite     suite
	flags     flags
	idle      uint8 // records without data in a row
	held      uint8 // bytes in hand
	hand      [4]byte
	skip      uint32 // bytes to come of a message that is skipped
}

// Wide is the part of a State that doesn't fit in it: secrets of 48 bytes and keys of 32, in TLS 1.3
// with AES-256 or ChaCha20. crypto/tls prefers AES-128 where the client has instructions for AES.
type Wide struct {
	outSecret, inSecret [48]byte
	key                 [32]byte
}

type flags uint8

const (
	flag12     flags = 1 << iota // TLS 1.2, else 1.3
	flagClient                   // this is the client's side
	flagOwes                     // the peer has requested a key update
	flagClosed                   // close_notify is sealed
)

// suite is an AEAD with its hash function.
type suite uint8

const (
	aes128 suite = iota + 1
	aes256
	chacha20
)

// suiteOf returns the AEAD of a cipher suite by its number.
func suiteOf(id uint16) (suite, error) {
	switch id {
	case tls.TLS_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256:
		return aes128, nil
	case tls.TLS_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384:
		return aes256, nil
	case tls.TLS_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256:
		return chacha20, nil
	}
	return 0, fmt.Errorf("cipher suite %s has no record layer here", tls.CipherSuiteName(id))
}

// Suites12 are the suites of TLS 1.2 that the record layer knows: ECDHE with an AEAD.
var Suites12 = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// is12 reports whether the connection speaks TLS 1.2.
func (s *State) is12() bool { return s.flags&flag12 != 0 }

func (s *State) isClient() bool { return s.flags&flagClient != 0 }

// Closed reports whether the connection's last record, close_notify, is sealed.
func (s *State) Closed() bool { return s.flags&flagClosed != 0 }

// Owes reports whether the peer has requested a key update, which the next record begins with.
func (s *State) Owes() bool { return s.flags&flagOwes != 0 }

// IsWide reports whether the State needs a Wide.
func (s *State) IsWide() bool { return s.suite != aes128 && !s.is12() }

// keySize returns the length of a key.
func (u suite) keySize() int {
	if u == aes128 {
		return 16
	}
	return 32
}

// out returns the secret that output is protected with in TLS 1.3.
func (s *State) out(w *Wide) []byte {
	switch {
	case !s.IsWide():
		return s.outSecret[:]
	case s.suite == aes256:
		return w.outSecret[:]
	}
	return w.outSecret[:32]
}

// in returns the secret that input is protected with in TLS 1.3.
func (s *State) in(w *Wide) []byte {
	switch {
	case !s.IsWide():
		return s.inSecret[:]
	case s.suite == aes256:
		return w.inSecret[:]
	}
	return w.inSecret[:32]
}
