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
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	server := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, CipherSuites: Suites12}
	config := ServerConfig(func() *tls.Config { return server })
	for _, version := range []uint16{tls.VersionTLS13, tls.VersionTLS12} {
		if err := check(config, version); err != nil {
			return fmt.Errorf("%s: %w", tls.VersionName(version), err)
		}
	}
	return nil
}

func check(config *tls.Config, version uint16) error {
	toServer, toClient := make(chan []byte, 16), make(chan []byte, 16)
	type end struct {
		r   Result
		err error
	}
	ended := make(chan end, 1) // the server's goroutine sends its end, once
	go func() {
		defer close(toClient)
		r, err := NewHandshake(&pipe{toServer, toClient}, nil).Server(config)
		ended <- end{r, err}
	}()
	client, err := NewHandshake(&pipe{toClient, toServer}, nil).Client(&tls.Config{
		InsecureSkipVerify: true, MinVersion: version, MaxVersion: version, CipherSuites: Suites12})
	close(toServer)
	server := <-ended
	if err := errors.Join(err, server.err); err != nil {
		return err
	}
	for rest := range toClient { // session tickets
		client.Rest = append(client.Rest, rest...)
	}
	var l Layer
	if data, rest, err := l.Receive(client.Rest, &client.State, client.Wide); err != nil || len(data)+len(rest) > 0 {
		return fmt.Errorf("bytes behind the handshake: %w", err)
	}
	for _, way := range [][2]*Result{{&client, &server.r}, {&server.r, &client}} {
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
