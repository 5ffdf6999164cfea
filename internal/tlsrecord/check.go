package tlsrecord

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// Check carries out a handshake of each kind with itself and passes a record in both directions. It
// fails where Go's crypto/tls gives no usable keys, or Go forbids their use.
func Check() error {
	config, err := ownConfig()
	if err != nil {
		return err
	}
	for _, version := range []uint16{tls.VersionTLS13, tls.VersionTLS12} {
		if err := check(config, version); err != nil {
			return fmt.Errorf("%s: %w", tls.VersionName(version), err)
		}
	}
	return nil
}

// Pair returns both sides of a connection in TLS 1.3 whose handshake has taken place in memory. It is
// for tests.
func Pair() (server, client Result, err error) {
	config, err := ownConfig()
	if err != nil {
		return server, client, err
	}
	return pair(config, tls.VersionTLS13)
}

// ownConfig is the server's side of handshakes with itself, without what ServerConfig adds.
func ownConfig() (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, CipherSuites: Suites12}, nil
}

// pair carries out a handshake with itself.
func pair(config *tls.Config, version uint16) (server, client Result, err error) {
	toServer, toClient := make(chan []byte, 16), make(chan []byte, 16)
	ended := make(chan error, 1) // the server's goroutine sends its error, once
	go func() {
		defer close(toClient)
		var err error
		server, err = NewHandshake(&pipe{toServer, toClient}, nil).Server(ServerConfig(func() *tls.Config { return config }))
		ended <- err
	}()
	client, err = NewHandshake(&pipe{toClient, toServer}, nil).Client(&tls.Config{
		InsecureSkipVerify: true, MinVersion: version, MaxVersion: version, CipherSuites: Suites12})
	close(toServer)
	if err := errors.Join(err, <-ended); err != nil {
		return server, client, err
	}
	for rest := range toClient { // session tickets
		client.Rest = append(client.Rest, rest...)
	}
	var l Layer
	if data, rest, err := l.Receive(client.Rest, &client.State, client.Wide); err != nil || len(data)+len(rest) > 0 {
		return server, client, fmt.Errorf("bytes behind the handshake: %w", err)
	}
	client.Rest = nil
	return server, client, nil
}

func check(config *tls.Config, version uint16) error {
	server, client, err := pair(config, version)
	if err != nil {
		return err
	}
	var l Layer
	for _, way := range [][2]*Result{{&client, &server}, {&server, &client}} {
		from, to := way[0], way[1]
		const text = "hello"
		b, _, err := l.AppendData(nil, &from.State, from.Wide, [][]byte{[]byte(text)}, 0)
		if err != nil {
			return err
		}
		data, _, err := l.Receive(b, &to.State, to.Wide)
		if err != nil || !bytes.Equal(data, []byte(text)) {
			return fmt.Errorf("a record came out as %q: %w", data, err)
		}
	}
	return nil
}

// pipe is one end of a Wire in memory.
type pipe struct {
	in  <-chan []byte // closed by the other end
	out chan<- []byte
}

func (p *pipe) Receive() ([]byte, error) {
	b, ok := <-p.in
	if !ok {
		return nil, errors.New("the other side has ended")
	}
	return b, nil
}

func (p *pipe) Send(b []byte) { p.out <- bytes.Clone(b) }
