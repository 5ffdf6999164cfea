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
	clientCerts bool   // with TLS, clients need a certificate of their own
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
	w.writeSubscribe(&b)
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

// writeSubscribe prints how to subscribe: in the clear if there is such a
// listener, and with TLS.
func (w *welcome) writeSubscribe(b *strings.Builder) {
	plain := w.public != "" && !strings.HasPrefix(w.public, "unix:")
	if !plain && w.tls == "" {
		return
	}
	fmt.Fprintf(b, "Subscribe, in a second terminal:\n")
	if plain {
		fmt.Fprintf(b, "  curl -N 'http://%s/v1/sse?channels=news'\n", dialable(w.public))
		fmt.Fprintf(b, "  python3 -m websockets 'ws://%s/v1/ws?channels=news'\n", dialable(w.public))
	} else {
		w.writeTLS(b)
	}
	if page := "http://" + dialable(w.admin) + "/console/"; w.admin != "" && !plain && w.selfSigned {
		fmt.Fprintf(b, "  or open https://%s/ in a browser, accept the certificate, and go to %s\n", dialable(w.tls), page)
	} else if w.admin != "" {
		fmt.Fprintf(b, "  or open %s in a browser\n", page)
	}
	if plain && w.tls != "" {
		fmt.Fprintf(b, "Or with TLS:\n")
		w.writeTLS(b)
	}
	if w.tls != "" && w.selfSigned {
		fmt.Fprintf(b, "The certificate is self-signed; its SHA-256 is\n  %s\n", fingerprint(w.certificate))
	}
}

// writeTLS prints how to connect with TLS: by a name that the certificate is for,
// and with the certificate itself where it is self-signed.
func (w *welcome) writeTLS(b *strings.Builder) {
	addr := dialable(w.certificate.Address(w.tls))
	trust, environment := "", ""
	switch {
	case w.selfSigned && w.certFile != "":
		trust, environment = " --cacert "+w.certFile, "SSL_CERT_FILE="+w.certFile+" "
	case w.selfSigned:
		trust = " -k" // takes any certificate
	}
	if w.clientCerts {
		trust += " --cert CLIENT.pem --key CLIENT.key"
	}
	fmt.Fprintf(b, "  curl -N%s 'https://%s/v1/sse?channels=news'\n", trust, addr)
	// It has no options for certificates.
	if !w.clientCerts && (!w.selfSigned || w.certFile != "") {
		fmt.Fprintf(b, "  %spython3 -m websockets 'wss://%s/v1/ws?channels=news'\n", environment, addr)
	}
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
