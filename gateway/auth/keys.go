package auth

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"github.com/golang-jwt/jwt/v5"
)

// Algorithm names how a token is signed, as its header spells it.
type Algorithm string

const (
	HS256 Algorithm = "HS256"
	RS256 Algorithm = "RS256"
	ES256 Algorithm = "ES256"
	EdDSA Algorithm = "EdDSA"
)

var algorithms = []Algorithm{HS256, RS256, ES256, EdDSA}

// key verifies tokens of one algorithm, the one that its type is for.
type key struct {
	algorithm Algorithm
	method    jwt.SigningMethod
	material  any
	// id is the kid; empty for keys out of the configuration, which are tried
	// for tokens of every kid.
	id string
}

func secretKey(secret []byte) key {
	return key{algorithm: HS256, method: jwt.SigningMethodHS256, material: secret}
}

// publicKey refuses keys of types and sizes that no allowed algorithm is for.
func publicKey(k any) (key, error) {
	switch k := k.(type) {
	case *rsa.PublicKey:
		// Beyond 8192 bits a single check takes a millisecond of a shard's time.
		if bits := k.N.BitLen(); bits < 2048 || bits > 8192 {
			return key{}, fmt.Errorf("an RSA key of %d bits, want 2048 to 8192", bits)
		}
		return key{algorithm: RS256, method: jwt.SigningMethodRS256, material: k}, nil
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() {
			return key{}, fmt.Errorf("an elliptic curve key on %s, want P-256", k.Curve.Params().Name)
		}
		return key{algorithm: ES256, method: jwt.SigningMethodES256, material: k}, nil
	case ed25519.PublicKey:
		return key{algorithm: EdDSA, method: jwt.SigningMethodEdDSA, material: k}, nil
	}
	return key{}, fmt.Errorf("a key of type %T, want RSA, P-256 or Ed25519", k)
}

// publicKeys reads every PEM block in data.
func publicKeys(data []byte) ([]key, error) {
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
	if len(keys) == 0 {
		return nil, errors.New("no PEM block in it")
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
		secret = trimLineEnd(secret)
		if err := checkSecret(secret); err != nil {
			fail(name, err)
		}
		keys = append(keys, secretKey(secret))
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

// trimLineEnd cuts off the line end that editors and echo put after a secret.
func trimLineEnd(secret []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(secret, []byte("\n")), []byte("\r"))
}

// checkSecret refuses a PEM file: if it is a public key, everybody knows it.
func checkSecret(secret []byte) error {
	if len(secret) == 0 {
		return errors.New("is empty")
	}
	if bytes.Contains(secret, []byte("-----BEGIN ")) {
		return errors.New("holds a PEM block, which is no shared secret")
	}
	return nil
}
