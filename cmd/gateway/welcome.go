package main

import (
	"fmt"
	"io"
	"net"
	"strings"
)

// welcome is the output of a first run: the lines to type next.
type welcome struct {
	program  string // as it was called
	public   string // the bound public address, "unix:/path" for a socket
	admin    string // the bound admin address, empty when off
	embedded string // the embedded server's bound address, empty with a real Redis
	prefix   string
}

// writeWelcome prints nothing where a Redis is configured, which takes more
// knowledge than the welcome holds.
func writeWelcome(out io.Writer, w welcome) {
	host, port, err := net.SplitHostPort(w.embedded)
	if err != nil {
		return
	}
	var b strings.Builder
	b.WriteString("\nRunning with an embedded Redis: one node, and nothing survives a restart.\n\n")
	if !strings.HasPrefix(w.public, "unix:") {
		public := dialable(w.public)
		fmt.Fprintf(&b, "Subscribe, in a second terminal:\n")
		fmt.Fprintf(&b, "  curl -N 'http://%s/v1/sse?channels=news'\n", public)
		fmt.Fprintf(&b, "  python3 -m websockets 'ws://%s/v1/ws?channels=news'\n", public)
		if w.admin != "" {
			fmt.Fprintf(&b, "  or open http://%s/console/ in a browser\n", dialable(w.admin))
		}
	}
	fmt.Fprintf(&b, "Publish, in a third one:\n")
	fmt.Fprintf(&b, "  redis-cli -h %s -p %s publish %snews hello\n", host, port, w.prefix)
	at := ""
	if w.embedded != defaultSettings().Redis.Embedded {
		at = " --redis.embedded " + w.embedded
	}
	fmt.Fprintf(&b, "  %s publish news hello%s\n\n", w.program, at)
	// A closed standard output is no reason not to serve.
	_, _ = io.WriteString(out, b.String())
}

// dialable replaces the address that means every interface by one to dial.
func dialable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	switch host {
	case "", "0.0.0.0", "::":
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}
