package redisurl

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
)

// TLS is the settings for a URL with rediss://, as keys beside it or in its parameters.
type TLS struct {
	// CAFile holds the certificates, in PEM, of the authorities that the
	// servers' are held against; empty takes the system's.
	CAFile string
	// CertFile and KeyFile hold the client's own certificate, for servers that
	// ask for one, and its private key, in PEM.
	CertFile string
	KeyFile  string
	// ServerName is the name that the servers' certificates must have; empty
	// stands for the host of the URL, or the one under which a server is reached.
	ServerName string
}

// Cut removes the TLS parameters from a URL: go-redis knows none of them, or only
// in some kinds of URL. A parameter takes precedence over its field in t. skipVerify takes any
// certificate.
func (t TLS) Cut(text string) (rest string, _ TLS, skipVerify bool, err error) {
	front, query, _ := strings.Cut(text, "?")
	fields := map[string]*string{"ca_file": &t.CAFile, "cert_file": &t.CertFile, "key_file": &t.KeyFile, "server_name": &t.ServerName}
	var others []string
	for pair := range strings.SplitSeq(query, "&") {
		name, escaped, _ := strings.Cut(pair, "=")
		value, err := url.QueryUnescape(escaped)
		switch {
		case pair == "":
			continue
		case err != nil:
			return "", t, false, fmt.Errorf("%s: not percent-encoded", name)
		case fields[name] != nil:
			*fields[name] = value
		case name == "skip_verify":
			if skipVerify, err = strconv.ParseBool(value); err != nil {
				return "", t, false, fmt.Errorf("skip_verify %q, want true or false", value)
			}
		default:
			others = append(others, pair)
		}
	}
	if len(others) > 0 {
		front += "?" + strings.Join(others, "&")
	}
	return front, t, skipVerify, nil
}

// Load reads the files. It calls bad for each key with something wrong.
func (t TLS) Load(bad func(key, value, want string)) *tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	read := func(key, file, want string) []byte {
		if file == "" {
			return nil
		}
		text, err := os.ReadFile(file)
		if err != nil {
			bad(key, file, want+": "+err.Error())
		}
		return text
	}
	const authorities = "a file with certificates in PEM"
	if text := read("ca_file", t.CAFile, authorities); text != nil {
		if config.RootCAs = x509.NewCertPool(); !config.RootCAs.AppendCertsFromPEM(text) {
			bad("ca_file", t.CAFile, authorities)
		}
	}
	cert, key := read("cert_file", t.CertFile, "a file in PEM"), read("key_file", t.KeyFile, "a file in PEM")
	switch {
	case t.CertFile == "" && t.KeyFile != "":
		bad("cert_file", "", "the file with the certificate of key_file")
	case t.CertFile != "" && t.KeyFile == "":
		bad("key_file", "", "the file with the private key of cert_file")
	case cert != nil && key != nil:
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			bad("cert_file", t.CertFile, "a certificate and in key_file its private key, in PEM: "+err.Error())
		}
		config.Certificates = []tls.Certificate{pair}
	}
	if _, err := netip.ParseAddr(t.ServerName); err != nil && strings.ContainsAny(t.ServerName, ":/ ") {
		bad("server_name", t.ServerName, "a host name or an address, without a port")
	}
	return config
}

// Hold has the certificate of a server held against the authorities and the names
// that it may be for: ServerName, or host, which the URL names, or at, under which a
// Sentinel or a Cluster that is trusted already has named the server.
func (t TLS) Hold(config *tls.Config, skipVerify bool, host, at string) {
	names := []string{host, at}
	if t.ServerName != "" {
		names = []string{t.ServerName}
	}
	config.ServerName = names[0]
	config.InsecureSkipVerify = true // which VerifyConnection replaces
	if skipVerify {
		return
	}
	config.VerifyConnection = func(state tls.ConnectionState) (err error) {
		leaf, chain := state.PeerCertificates[0], x509.NewCertPool()
		for _, c := range state.PeerCertificates[1:] {
			chain.AddCert(c)
		}
		if _, err = leaf.Verify(x509.VerifyOptions{Roots: config.RootCAs, Intermediates: chain}); err != nil {
			return err
		}
		for _, name := range names {
			if err = leaf.VerifyHostname(name); err == nil {
				return nil
			}
		}
		return err
	}
}
