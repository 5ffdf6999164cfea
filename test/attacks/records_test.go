package attacks

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"net"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
)

// Content types (RFC 8446, 5.1), and the largest record with its largest content.
const (
	typeAlert     = 21
	typeHandshake = 22
	typeData      = 23
	maxData       = 16 << 10
	maxRecord     = maxData + 256
)

// records seals the records of a client, so that they can be such as no library sends.
type records struct {
	*tls.Conn // for what is received

	is12   bool
	secret []byte // of TLS 1.3
	aead   cipher.AEAD
	iv     []byte // in TLS 1.2, the part of nonces that isn't sent
	seq    uint64
}

// keyLog keeps the secret of a handshake that the client's records are sealed by.
type keyLog struct{ random, secret []byte }

func (k *keyLog) Write(line []byte) (int, error) {
	var label string
	var random, secret []byte
	fmt.Sscanf(string(line), "%s %x %x", &label, &random, &secret)
	if label == "CLIENT_TRAFFIC_SECRET_0" || label == "CLIENT_RANDOM" {
		k.random, k.secret = random, secret
	}
	return len(line), nil
}

// tap keeps the first bytes that are read from a connection.
type tap struct {
	net.Conn
	first []byte
}

func (t *tap) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	if len(t.first) < 100 {
		t.first = append(t.first, p[:n]...)
	}
	return n, err
}

// secure makes the handshake of a connection within a time, 0 for that of the connection.
func secure(c net.Conn, version uint16, within time.Duration) (*records, error) {
	if within > 0 {
		c.SetDeadline(time.Now().Add(within))
	}
	log, wire := &keyLog{}, &tap{Conn: c}
	r := &records{is12: version == tls.VersionTLS12, Conn: tls.Client(wire, &tls.Config{
		InsecureSkipVerify: true, MinVersion: version, MaxVersion: version, KeyLogWriter: log,
		CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}, // of TLS 1.2
	})}
	if err := r.Handshake(); err != nil {
		return nil, err
	}
	if !r.is12 {
		return r, r.use(log.secret)
	}
	const random = 5 + 4 + 2 // behind the headers of the record and of the ServerHello, and its version
	return r, r.use12(log.secret, wire.first[random:random+32], log.random)
}

// use takes the keys of a secret into use (RFC 8446, 7.3).
func (r *records) use(secret []byte) (err error) {
	r.secret, r.seq = secret, 0
	r.iv = expand(secret, "iv", 12)
	// Go's own choice, which depends on whether there is AES in hardware.
	if r.ConnectionState().CipherSuite == tls.TLS_CHACHA20_POLY1305_SHA256 {
		r.aead, err = chacha20poly1305.New(expand(secret, "key", 32))
		return err
	}
	r.aead, err = newGCM(expand(secret, "key", 16))
	return err
}

// use12 takes the client's keys of TLS 1.2 into use (RFC 5246, 6.3). Finished had number 0.
func (r *records) use12(master, serverRandom, clientRandom []byte) (err error) {
	const key, iv = 16, 4
	hash := func(parts ...[]byte) []byte {
		mac := hmac.New(sha256.New, master)
		mac.Write(bytes.Join(parts, nil))
		return mac.Sum(nil)
	}
	seed := bytes.Join([][]byte{[]byte("key expansion"), serverRandom, clientRandom}, nil)
	first := hash(seed) // RFC 5246, 5
	block := append(hash(first, seed), hash(hash(first), seed)...)
	r.iv, r.seq = block[2*key:2*key+iv], 1
	r.aead, err = newGCM(block[:key])
	return err
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// expand is HKDF-Expand-Label without a context (RFC 8446, 7.1).
func expand(secret []byte, label string, n int) []byte {
	label = "tls13 " + label
	info := string([]byte{byte(n >> 8), byte(n), byte(len(label))}) + label + "\x00"
	out, err := hkdf.Expand(sha256.New, secret, info, n)
	if err != nil {
		panic(err)
	}
	return out
}

// seal returns the next record, with content of a type.
func (r *records) seal(kind byte, content string) []byte {
	seq := binary.BigEndian.AppendUint64(nil, r.seq)
	r.seq++
	if r.is12 { // RFC 5288, 3
		data := append(seq, header(kind, len(content))...)
		sealed := r.aead.Seal(nil, append(bytes.Clone(r.iv), seq...), []byte(content), data)
		return append(append(header(kind, len(seq)+len(sealed)), seq...), sealed...)
	}
	nonce := bytes.Clone(r.iv)
	for i, b := range seq {
		nonce[4+i] ^= b
	}
	inner := append([]byte(content), kind)
	head := header(typeData, len(inner)+r.aead.Overhead())
	return append(head, r.aead.Seal(nil, nonce, inner, head)...)
}

// header returns that of a record with so many bytes.
func header(kind byte, n int) []byte { return []byte{kind, 3, 3, byte(n >> 8), byte(n)} }

// parked returns the start of a record of the largest size, all but its last byte.
func (r *records) parked() []byte {
	return append(header(typeData, maxRecord), make([]byte, maxRecord-1)...)
}

// updates returns n key updates that ask for one each, with data behind each of them unless that is
// empty.
func (r *records) updates(n int, data string) (b []byte) {
	for range n {
		b = append(b, r.seal(typeHandshake, "\x18\x00\x00\x01\x01")...)
		if err := r.use(expand(r.secret, "traffic upd", sha256.Size)); err != nil {
			panic(err)
		}
		if data != "" {
			b = append(b, r.seal(typeData, data)...)
		}
	}
	return b
}

// hello returns the first message of a client.
func hello() []byte {
	near, far := net.Pipe()
	defer far.Close()
	go func() { // ends with the pipe
		tls.Client(near, &tls.Config{InsecureSkipVerify: true}).Handshake()
		near.Close()
	}()
	b := make([]byte, 4096)
	n, _ := far.Read(b)
	return b[:n]
}
