package certs

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// reader reads the files of a configuration, and gathers everything that is wrong with them.
type reader struct {
	files []readFile
	errs  []error
}

// readFile is a file as it was read. The stat was made before, through symbolic links.
type readFile struct {
	path string
	stat fs.FileInfo
	sum  [sha256.Size]byte
}

// maxFileBytes is far above any of these files, and keeps a wrong path from filling the memory.
const maxFileBytes = 4 << 20

func (r *reader) bad(key, file, want string) {
	r.errs = append(r.errs, &ConfigError{Key: key, Value: strconv.Quote(file), Want: want})
}

// read returns the content of a file; nil if it can't be read, which is an error for the key.
func (r *reader) read(key, file, want string) []byte {
	f, text, err := readOnce(file)
	if err != nil {
		r.bad(key, file, want+": "+err.Error())
		return nil
	}
	r.files = append(r.files, f)
	return text
}

func readOnce(file string) (f readFile, text []byte, err error) {
	f.path = file
	if f.stat, err = os.Stat(file); err != nil {
		return f, nil, err
	}
	if !f.stat.Mode().IsRegular() {
		return f, nil, errors.New("not a regular file")
	}
	if f.stat.Size() > maxFileBytes {
		return f, nil, fmt.Errorf("a file of %d bytes", f.stat.Size())
	}
	if text, err = os.ReadFile(file); err != nil {
		return f, nil, err
	}
	f.sum = sha256.Sum256(text)
	return f, text, nil
}

// changed reports whether the file's content is different now. A file that can't be read is.
func (f *readFile) changed() bool {
	now, err := os.Stat(f.path)
	if err == nil && os.SameFile(now, f.stat) && now.Size() == f.stat.Size() && now.ModTime().Equal(f.stat.ModTime()) {
		return false
	}
	again, _, err := readOnce(f.path)
	return err != nil || again.sum != f.sum
}

// Changed reports whether any of the files holds something else now than was read, or can't be read
// any more. While nothing was touched it costs a stat for each file, through symbolic links:
// Kubernetes replaces a link to a directory, certbot those to the files.
func (s *Set) Changed() bool {
	for i := range s.files {
		if s.files[i].changed() {
			return true
		}
	}
	return false
}

const (
	wantCertificate = "a file with the certificate and its chain in PEM"
	wantKey         = "a file with the private key of cert_file in PEM"
	wantAuthorities = "a file with certificates in PEM"
)

// pair reads a certificate and its key. It is complete if there is no error.
func (r *reader) pair(place string, f Files) pair {
	errs := len(r.errs)
	certKey, keyKey := place+".cert_file", place+".key_file"
	certText, keyText := r.read(certKey, f.CertFile, wantCertificate), r.read(keyKey, f.KeyFile, wantKey)
	p := pair{place: place, file: f.CertFile}
	if certText != nil {
		var err error
		if p.chain, err = parseCertificates(certText); err != nil {
			r.bad(certKey, f.CertFile, wantCertificate+": "+err.Error())
		}
	}
	if len(r.errs) > errs {
		return p
	}
	cert, err := tls.X509KeyPair(certText, keyText)
	switch {
	case err == nil:
		cert.Leaf = p.leaf()
		p.cert = &cert
		return p
	case bytes.Contains(keyText, []byte("ENCRYPTED")):
		r.bad(keyKey, f.KeyFile, "a private key without a passphrase: openssl pkey -in FILE -out NEW_FILE removes it")
	case !bytes.Contains(keyText, []byte("PRIVATE KEY-----")):
		r.bad(keyKey, f.KeyFile, wantKey+": no private key in it")
	case matchesAnother(p.chain, keyText):
		r.bad(certKey, f.CertFile, "the server's certificate first, and its chain behind it: key_file is the key of a later one")
	default:
		r.bad(keyKey, f.KeyFile, wantKey+": "+explainKey(err))
	}
	return p
}

// explainKey takes the prefix of crypto/tls from an error, which names neither key nor file.
func explainKey(err error) string {
	switch text := err.Error(); text {
	case "tls: private key does not match public key", "tls: private key type does not match public key type":
		return "it is the key of another certificate"
	default:
		return strings.TrimPrefix(text, "tls: ")
	}
}

// matchesAnother reports whether the key belongs to a certificate of the file that is not the first.
func matchesAnother(chain []*x509.Certificate, keyText []byte) bool {
	for _, c := range chain[1:] {
		if _, err := tls.X509KeyPair(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}), keyText); err == nil {
			return true
		}
	}
	return false
}

// authorities reads the certificates that sign clients' certificates, nil if no file is given.
func (r *reader) authorities(file string) []*x509.Certificate {
	const key = "tls.client_ca_file"
	if file == "" {
		return nil
	}
	text := r.read(key, file, wantAuthorities)
	if text == nil {
		return nil
	}
	all, err := parseCertificates(text)
	if err != nil {
		r.bad(key, file, wantAuthorities+": "+err.Error())
	}
	return all
}

// parseCertificates returns the certificates of a text in PEM, at least one.
func parseCertificates(text []byte) (all []*x509.Certificate, err error) {
	hasKey := false
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			hasKey = hasKey || strings.HasSuffix(block.Type, "PRIVATE KEY")
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d in it: %w", len(all)+1, err)
		}
		all = append(all, c)
	}
	switch {
	case len(all) > 0:
		return all, nil
	case hasKey:
		return nil, errors.New("it holds a private key and no certificate")
	}
	return nil, errors.New("no certificate in it")
}
