package main

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"
)

// probeTimeout bounds the look at one address.
const probeTimeout = 2 * time.Second

// Owners of an address.
const (
	aGateway = "a gateway runs there"
	aRedis   = "a Redis server runs there, or the one embedded in a gateway"
	another  = "another program runs there"
)

// explainTaken adds to the error of a start that found an address in use which
// program runs on each of the addresses: most often a gateway.
func explainTaken(err error, s settings) error {
	if !errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	var found strings.Builder
	advice := "Give this gateway other addresses."
	for _, listener := range []struct {
		key, addr string
		ask       func(c net.Conn) (owner string)
	}{
		{"listen", s.Listen, askHealth},
		{"tls.listen", s.TLS.Address(), askSecureHealth},
		{"admin.listen", s.Admin.Listen, askHealth},
		{"redis.embedded", s.Redis.Embedded, askRedis},
	} {
		if listener.addr == "" || listener.key == "redis.embedded" && s.Redis.URL != "" {
			continue
		}
		c, dialErr := dialListener(listener.addr)
		if dialErr != nil {
			continue
		}
		owner := listener.ask(c)
		c.Close()
		fmt.Fprintf(&found, "\n  %s %s: %s", listener.key, listener.addr, owner)
		if owner == aGateway {
			advice = "Stop that gateway, or give this one other addresses, such as --listen 127.0.0.1:0."
		}
	}
	return fmt.Errorf("%w%s\n%s", err, found.String(), advice)
}

func dialListener(addr string) (net.Conn, error) {
	network, addr := "tcp", dialable(addr)
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, addr = "unix", path
	}
	c, err := net.DialTimeout(network, addr, probeTimeout)
	if err == nil {
		err = c.SetDeadline(time.Now().Add(probeTimeout))
	}
	return c, err
}

// askHealth asks for the health that both listeners of a gateway report.
func askHealth(c net.Conn) string {
	fmt.Fprint(c, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return another
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 100))
	if resp.StatusCode == http.StatusOK && string(body) == "ok\n" && strings.HasPrefix(resp.Header.Get("Cache-Control"), "no-store") {
		return aGateway
	}
	return another
}

// askSecureHealth asks with TLS. Any certificate will do: nothing secret is said.
func askSecureHealth(c net.Conn) string {
	return askHealth(tls.Client(c, &tls.Config{InsecureSkipVerify: true}))
}

func askRedis(c net.Conn) string {
	fmt.Fprint(c, "*1\r\n$4\r\nPING\r\n")
	line, _ := bufio.NewReader(c).ReadString('\n')
	if strings.HasPrefix(line, "+PONG") || strings.HasPrefix(line, "-NOAUTH") {
		return aRedis
	}
	return another
}
