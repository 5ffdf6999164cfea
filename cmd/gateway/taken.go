package main

import (
	"bufio"
	"context"
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

// explainTaken adds to the error of a start that found an address in use which
// program runs on each of the addresses: most often a gateway.
func explainTaken(err error, s settings) error {
	if !errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	var lines []string
	gateways := 0
	for _, listener := range []struct {
		key, addr string
		who       func(c net.Conn) string
	}{
		{"listen", s.Listen, whoServes},
		{"admin.listen", s.Admin.Listen, whoServes},
		{"redis.embedded", s.Redis.Embedded, whoSpeaksRedis},
	} {
		if listener.addr == "" || listener.key == "redis.embedded" && s.Redis.URL != "" {
			continue
		}
		c, dialErr := dialListener(listener.addr)
		if dialErr != nil {
			continue
		}
		who := listener.who(c)
		c.Close()
		if who == aGateway {
			gateways++
		}
		lines = append(lines, fmt.Sprintf("\n  %s %s: %s", listener.key, listener.addr, who))
	}
	advice := "\nGive this gateway other addresses."
	if gateways > 0 {
		advice = "\nStop that gateway, or give this one other addresses, such as --listen 127.0.0.1:0."
	}
	return fmt.Errorf("%w%s%s", err, strings.Join(lines, ""), advice)
}

// Owners of an address.
const (
	aGateway = "a gateway runs there"
	aRedis   = "a Redis server runs there, or the one embedded in a gateway"
	another  = "another program runs there"
)

func dialListener(addr string) (net.Conn, error) {
	network := "tcp"
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, addr = "unix", path
	} else {
		addr = dialable(addr)
	}
	c, err := net.DialTimeout(network, addr, probeTimeout)
	if err == nil {
		err = c.SetDeadline(time.Now().Add(probeTimeout))
	}
	return c, err
}

// whoServes asks for the health that both of a gateway's listeners tell of.
func whoServes(c net.Conn) string {
	client := http.Client{Transport: &http.Transport{
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return c, nil },
		DisableKeepAlives: true,
	}}
	answer, err := client.Get("http://localhost/healthz")
	if err != nil {
		return another
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(answer.Body, 100))
	if answer.StatusCode == http.StatusOK && string(body) == "ok\n" && strings.HasPrefix(answer.Header.Get("Cache-Control"), "no-store") {
		return aGateway
	}
	return another
}

func whoSpeaksRedis(c net.Conn) string {
	fmt.Fprint(c, "*1\r\n$4\r\nPING\r\n")
	line, _ := bufio.NewReader(c).ReadString('\n')
	if strings.HasPrefix(line, "+PONG") || strings.HasPrefix(line, "-NOAUTH") {
		return aRedis
	}
	return another
}
