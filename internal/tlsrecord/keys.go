package tlsrecord

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"hash"

	"golang.org/x/crypto/chacha20poly1305"
)

// hash returns the hash function of the suite's key schedule.
func (u suite) hash() func() hash.Hash {
	if u == aes256 {
		return sha512.New384
	}
	return sha256.New
}

// aead returns the cipher for a key.
func (u suite) aead(key []byte) (cipher.AEAD, error) {
	if u == chacha20 {
		return chacha20poly1305.New(key)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// ivSize is the length of a nonce, and of all IVs but those of AES-GCM in TLS 1.2.
const ivSize = 12

// ivSize12 returns the length of the part of a nonce that isn't sent, in TLS 1.2.
func (u suite) ivSize12() int {
	if u == chacha20 {
		return ivSize
	}
	return 4
}

// The labels of TLS 1.3's key schedule (RFC 8446, 7.1 to 7.3).
const (
	labelKey    = "key"
	labelIV     = "iv"
	labelUpdate = "traffic upd"
)

// expandLabel is HKDF-Expand-Label with an empty context (RFC 8446, 7.1).
func (u suite) expandLabel(secret []byte, label string, size int) ([]byte, error) {
	info := make([]byte, 0, 32)
	info = binary.BigEndian.AppendUint16(info, uint16(size))
	info = append(info, byte(len("tls13 ")+len(label)))
	info = append(append(info, "tls13 "...), label...)
	info = append(info, 0)
	return hkdf.Expand(u.hash(), secret, string(info), size)
}

// prf is the pseudorandom function of TLS 1.2 (RFC 5246, 5).
func (u suite) prf(secret []byte, label string, seed []byte, size int) []byte {
	seed = append([]byte(label), seed...)
	mac := hmac.New(u.hash(), secret)
	var out []byte
	for a := seed; len(out) < size; {
		mac.Reset()
		mac.Write(a)
		a = mac.Sum(nil)
		mac.Reset()
		mac.Write(a)
		mac.Write(seed)
		out = mac.Sum(out)
	}
	return out[:size]
}

// use13 begins with the traffic secrets of TLS 1.3.
func (s *State) use13(w *Wide, out, in []byte) error {
	copy(s.out(w), out)
	copy(s.in(w), in)
	return s.derive(w)
}

// derive derives the kept key and IV.
func (s *State) derive(w *Wide) error {
	secret := s.out(w)
	if s.isClient() {
		secret = s.in(w)
	}
	key, iv, err := s.suite.keys(secret)
	if err != nil {
		return err
	}
	if s.IsWide() {
		copy(w.key[:], key)
	} else {
		copy(s.key[:], key)
	}
	copy(s.iv[:], iv)
	return nil
}

// keys derives the key and IV of a traffic secret of TLS 1.3.
func (u suite) keys(secret []byte) (key, iv []byte, err error) {
	if key, err = u.expandLabel(secret, labelKey, u.keySize()); err != nil {
		return nil, nil, err
	}
	iv, err = u.expandLabel(secret, labelIV, ivSize)
	return key, iv, err
}

// use12 begins with the key block of TLS 1.2 (RFC 5246, 6.3), which is made of the master secret and
// both randoms. The Finished messages had number 0.
func (s *State) use12(master, clientRandom, serverRandom []byte) {
	n, iv := s.suite.keySize(), s.suite.ivSize12()
	seed := append(append(make([]byte, 0, 64), serverRandom...), clientRandom...)
	block := s.suite.prf(master, "key expansion", seed, 2*n+2*iv)
	clientKey, serverKey := block[:n], block[n:2*n]
	clientIV, serverIV := block[2*n:2*n+iv], block[2*n+iv:]
	if s.isClient() {
		clientKey, serverKey, clientIV, serverIV = serverKey, clientKey, serverIV, clientIV
	}
	copy(s.outSecret[:], serverKey)
	copy(s.inSecret[:], clientKey)
	copy(s.iv[:], serverIV)
	copy(s.key[:], clientIV)
	s.outSeq, s.inSeq = 1, 1
}

// outAEAD returns the cipher for output and its IV.
func (s *State) outAEAD(w *Wide) (a cipher.AEAD, iv []byte, err error) {
	switch {
	case s.is12():
		a, err = s.suite.aead(s.outSecret[:s.suite.keySize()])
		return a, s.iv[:], err
	case s.isClient():
		return s.suite.derived(s.out(w))
	}
	return s.kept(w)
}

// inAEAD returns the cipher for input and its IV.
func (s *State) inAEAD(w *Wide) (a cipher.AEAD, iv []byte, err error) {
	switch {
	case s.is12():
		a, err = s.suite.aead(s.inSecret[:s.suite.keySize()])
		return a, s.key[:s.suite.ivSize12()], err
	case s.isClient():
		return s.kept(w)
	}
	return s.suite.derived(s.in(w))
}

// kept returns the cipher and IV of the kept direction.
func (s *State) kept(w *Wide) (a cipher.AEAD, iv []byte, err error) {
	key := s.key[:]
	if s.IsWide() {
		key = w.key[:s.suite.keySize()]
	}
	a, err = s.suite.aead(key)
	return a, s.iv[:], err
}

// derived returns the cipher and IV of a traffic secret of TLS 1.3.
func (u suite) derived(secret []byte) (a cipher.AEAD, iv []byte, err error) {
	key, iv, err := u.keys(secret)
	if err != nil {
		return nil, nil, err
	}
	a, err = u.aead(key)
	return a, iv, err
}

// updateOut replaces the output's keys by the next ones.
func (s *State) updateOut(w *Wide) error {
	next, err := s.suite.expandLabel(s.out(w), labelUpdate, len(s.out(w)))
	if err != nil {
		return err
	}
	copy(s.out(w), next)
	s.outSeq = 0
	if s.isClient() {
		return nil
	}
	return s.derive(w)
}

// updateIn replaces the input's keys by the next ones.
func (s *State) updateIn(w *Wide) error {
	next, err := s.suite.expandLabel(s.in(w), labelUpdate, len(s.in(w)))
	if err != nil {
		return err
	}
	copy(s.in(w), next)
	s.inSeq = 0
	if s.isClient() {
		return s.derive(w)
	}
	return nil
}
