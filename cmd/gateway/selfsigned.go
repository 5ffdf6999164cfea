package main

import (
	"encoding/pem"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/pushgate/pushgate/gateway/certs"
)

// offerCertificate writes a self-signed certificate to a file for clients to trust, and logs it. It
// returns the file's name, empty if it can't be written: clients can do without.
func offerCertificate(log *slog.Logger, c certs.Certificate, addr string) (file string) {
	_, port, _ := net.SplitHostPort(addr)
	file = filepath.Join(os.TempDir(), "pushgate-"+port+".pem")
	if err := writeCertificate(file, c); err != nil {
		log.Warn("the self-signed certificate can't be written to a file", "err", err)
		file = ""
	}
	log.Warn("the certificate is self-signed, which is for development: tls.self_signed is on", "file", file, "sha256", fingerprint(c))
	return file
}

// writeCertificate replaces a file as a whole. In a directory of all users that fails if the file is
// another user's, and follows no link of theirs.
func writeCertificate(file string, c certs.Certificate) (err error) {
	next, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(next.Name())
		}
	}()
	err = pem.Encode(next, &pem.Block{Type: "CERTIFICATE", Bytes: c.DER})
	if err == nil {
		err = next.Chmod(0o644)
	}
	if closeErr := next.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(next.Name(), file)
}

// fingerprint writes a certificate's SHA-256 as openssl and browsers do: AA:BB:…
func fingerprint(c certs.Certificate) string {
	var b strings.Builder
	for i := 0; i+1 < len(c.Fingerprint); i += 2 {
		if i > 0 {
			b.WriteByte(':')
		}
		b.WriteString(strings.ToUpper(c.Fingerprint[i : i+2]))
	}
	return b.String()
}
