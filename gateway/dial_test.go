package gateway_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/internal/gatewaytest"
)

// tlsAddrs are the addresses of the running gateways under test that speak TLS. With -tls they all do.
var tlsAddrs sync.Map

// clientDialer connects the tests' clients: over TLS to an address in tlsAddrs, in the clear to any other.
type clientDialer struct {
	net.Dialer
	before string // a proxy's header, sent before the client's bytes and before TLS
}

// dialer connects clients without any wish of their own.
var dialer = &clientDialer{}

// Dial connects to an address.
func (d *clientDialer) Dial(network, addr string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, addr)
}

// DialContext connects to an address. The handshake is complete when it returns.
func (d *clientDialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := d.Dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	if d.before != "" {
		if _, err := io.WriteString(c, d.before); err != nil {
			c.Close()
			return nil, err
		}
	}
	if _, ok := tlsAddrs.Load(addr); !ok {
		return c, nil
	}
	secure := tls.Client(c, &tls.Config{
		InsecureSkipVerify: true, CurvePreferences: []tls.CurveID{tls.X25519}, DynamicRecordSizingDisabled: true})
	c.SetDeadline(time.Now().Add(patience))
	if err := secure.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return secure, c.SetDeadline(time.Time{})
}

// dialByDefault has the clients of the libraries connect by it too, so that http:// and ws:// stand for
// either.
func dialByDefault() {
	websocket.DefaultDialer.NetDialContext = dialer.DialContext
	http.DefaultTransport.(*http.Transport).DialContext = dialer.DialContext
	gatewaytest.Once.Transport.(*http.Transport).DialContext = dialer.DialContext
}

// tcp returns the TCP connection of a client.
func tcp(c net.Conn) *net.TCPConn {
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	return c.(*net.TCPConn)
}

// isRejection reports whether a client couldn't connect because it is over a limit. Over TLS that's told by
// an alert, in the clear by a response.
func isRejection(err error) bool {
	return err != nil && err.Error() == "remote error: tls: internal error"
}

// closeWrite ends a client's side: by close_notify over TLS, else by FIN.
func closeWrite(c net.Conn) error { return c.(interface{ CloseWrite() error }).CloseWrite() }

// reset cuts a client off without a goodbye.
func reset(c net.Conn) {
	t := tcp(c)
	t.SetLinger(0)
	t.Close()
}

// listensAt has clients use TLS to a gateway's address, with -tls, until the test ends.
func listensAt(t testing.TB, addr string) {
	if *gateway.TLSOfTests {
		tlsAddrs.Store(addr, true)
		t.Cleanup(func() { tlsAddrs.Delete(addr) })
	}
}
