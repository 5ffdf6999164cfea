package attacks

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net"
	"time"
)

// Content types (RFC 8446, 5.1), and the largest record.
const (
	typeAlert     = 21
	typeHandshake = 22
	typeData      = 23
	maxRecord     = 16<<10 + 256
)

// records seals the records of a client over TLS 1.3, so that they can be such as no library sends.
type records struct {
	*tls.Conn // for what is received

	secret []byte
	aead   cipher.AEAD
	iv     []byte
	seq    uint64
}

// keyLog keeps the client's traffic secret of a handshake.
type keyLog struct{ secret []byte }

func (k *keyLog) Write(line []byte) (int, error) {
	if f := bytes.Fields(line); len(f) == 3 && string(f[0]) == "CLIENT_TRAFFIC_SECRET_0" {
		k.secret = make([]byte, hex.DecodedLen(len(f[2])))
		hex.Decode(k.secret, f[2])
	}
	return len(line), nil
}

var errSuite = errors.New("the gateway has another suite than TLS_AES_128_GCM_SHA256, where there is no AES in hardware")

// secure makes the handshake of a connection within a time, 0 for that of the connection.
func secure(c net.Conn, within time.Duration) (*records, error) {
	if within > 0 {
		c.SetDeadline(time.Now().Add(within))
	}
	log := &keyLog{}
	r := &records{Conn: tls.Client(c, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, KeyLogWriter: log})}
	if err := r.Handshake(); err != nil {
		return nil, err
	}
	if r.ConnectionState().CipherSuite != tls.TLS_AES_128_GCM_SHA256 {
		return nil, errSuite
	}
	return r, r.use(log.secret)
}

// use takes the keys of a secret into use (RFC 8446, 7.3).
func (r *records) use(secret []byte) error {
	r.secret, r.seq = secret, 0
	r.iv = expand(secret, "iv", 12)
	block, err := aes.NewCipher(expand(secret, "key", 16))
	if err != nil {
		return err
	}
	r.aead, err = cipher.NewGCM(block)
	return err
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
	nonce := bytes.Clone(r.iv)
	low := nonce[4:]
	binary.BigEndian.PutUint64(low, binary.BigEndian.Uint64(low)^r.seq)
	r.seq++
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
