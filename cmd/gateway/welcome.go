package main

import (
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/pushgate/pushgate/gateway/certs"
)

// welcome is the output of a first run: the lines to type next.
type welcome struct {
	program  string // as it was called
	public   string // the bound public address, "unix:/path" for a socket, empty for TLS alone
	tls      string // the bound address for TLS, empty without
	admin    string // the bound admin address, empty when off
	embedded string // the embedded server's bound address, empty with a real Redis
	prefix   string

	certificate certs.Certificate // the first one, with tls
	selfSigned  bool
	certFile    string // a file with it, if it is self-signed and could be written
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
	if plain := w.public != "" && !strings.HasPrefix(w.public, "unix:"); plain || w.tls != "" {
		fmt.Fprintf(&b, "Subscribe, in a second terminal:\n")
		if plain {
			fmt.Fprintf(&b, "  curl -N 'http://%s/v1/sse?channels=news'\n", dialable(w.public))
			fmt.Fprintf(&b, "  python3 -m websockets 'ws://%s/v1/ws?channels=news'\n", dialable(w.public))
		}
		if w.admin != "" {
			fmt.Fprintf(&b, "  or open http://%s/console/ in a browser\n", dialable(w.admin))
		}
	}
	if w.tls != "" {
		w.writeTLS(&b)
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

// writeTLS prints how to connect with TLS: to the name that the certificate is for, or, where that is
// self-signed, to this machine and with the certificate.
func (w *welcome) writeTLS(b *strings.Builder) {
	fmt.Fprintf(b, "Or with TLS:\n")
	if !w.selfSigned {
		host, _, _ := net.SplitHostPort(dialable(w.tls))
		_, port, _ := net.SplitHostPort(w.tls)
		if name := w.certificate.Name; name != "" && !strings.HasPrefix(name, "*") {
			host = name
		}
		fmt.Fprintf(b, "  wss://%s/v1/ws?channels=news\n", net.JoinHostPort(host, port))
		return
	}
	addr, trust := dialable(w.tls), "-k" // takes any certificate
	if w.certFile != "" {
		trust = "--cacert " + w.certFile
	}
	fmt.Fprintf(b, "  curl -N %s 'https://%s/v1/sse?channels=news'\n", trust, addr)
	if w.certFile != "" {
		fmt.Fprintf(b, "  SSL_CERT_FILE=%s python3 -m websockets 'wss://%s/v1/ws?channels=news'\n", w.certFile, addr)
	} else {
		fmt.Fprintf(b, "  wss://%s/v1/ws?channels=news\n", addr)
	}
	fmt.Fprintf(b, "  The certificate is self-signed; its SHA-256 is\n  %s\n", fingerprint(w.certificate))
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
