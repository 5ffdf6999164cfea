package auth

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"regexp"
)

// key verifies tokens of the algorithms that its type is for.
type key struct {
	algorithms []Algorithm
	material   any
	// id is the kid; empty for keys out of the configuration, which are tried
	// for tokens of every kid.
	id string
}

func publicKey(k any) (key, error) {
	suited, err := algorithmsFor(k)
	return key{algorithms: suited, material: k}, err
}

// pemBlock matches a PEM block, also one whose line ends became spaces, or \n of
// two letters, on its way through a variable.
var pemBlock = regexp.MustCompile(`-----BEGIN ([A-Z0-9 ]+)-----((?:\\[nr]|[A-Za-z0-9+/=\s])*)-----END [A-Z0-9 ]+-----`)

// lineEnds matches the line ends within.
var lineEnds = regexp.MustCompile(`\\[nr]|\s+`)

// pemLines breaks the lines of PEM blocks where the format wants it.
func pemLines(data []byte) []byte {
	return pemBlock.ReplaceAllFunc(data, func(block []byte) []byte {
		parts := pemBlock.FindSubmatch(block)
		body := lineEnds.ReplaceAll(parts[2], nil)
		return fmt.Appendf(nil, "\n-----BEGIN %s-----\n%s\n-----END %[1]s-----\n", parts[1], body)
	})
}

// publicKeys reads every PEM block in data.
func publicKeys(data []byte) ([]key, error) {
	data = pemLines(data)
	begun := bytes.Count(data, []byte("-----BEGIN "))
	var keys []key
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		data = rest
		parsed, err := parsePublic(block)
		if err != nil {
			return nil, err
		}
		k, err := publicKey(parsed)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	switch {
	case begun == 0:
		return nil, errors.New("no PEM block in it")
	case len(keys) < begun:
		return nil, fmt.Errorf("%d of %d PEM blocks can't be read", begun-len(keys), begun)
	}
	return keys, nil
}

func parsePublic(block *pem.Block) (any, error) {
	switch block.Type {
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return cert.PublicKey, nil
	}
	return nil, fmt.Errorf("a PEM block %q, want PUBLIC KEY or CERTIFICATE", block.Type)
}

// staticKeys reads the keys that the configuration holds or names files for,
// and returns all that is wrong with them.
func (j JWTConfig) staticKeys() (keys []key, errs []error) {
	fail := func(name string, err error) {
		errs = append(errs, fmt.Errorf("auth.jwt.%s: %w", name, err))
	}
	name, secret, err := inlineOrFile("secret", j.Secret, j.SecretFile)
	switch {
	case err != nil:
		fail(name, err)
	case name == "":
	default:
		if secret, err = parseSecret(secret); err != nil {
			fail(name, err)
		}
		keys = append(keys, key{algorithms: secretAlgorithms, material: secret})
	}
	name, text, err := inlineOrFile("public_key", j.PublicKey, j.PublicKeyFile)
	switch {
	case err != nil:
		fail(name, err)
	case name == "":
	default:
		public, err := publicKeys(text)
		if err != nil {
			fail(name, err)
		}
		keys = append(keys, public...)
	}
	return keys, errs
}

// inlineOrFile returns the key's value and the configuration key it came from;
// no name when neither is given.
func inlineOrFile(name, inline, file string) (string, []byte, error) {
	switch {
	case inline != "":
		return name, []byte(inline), nil
	case file != "":
		data, err := os.ReadFile(file)
		return name + "_file", data, err
	}
	return "", nil, nil
}
