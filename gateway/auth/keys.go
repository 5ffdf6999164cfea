package auth

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Algorithm names how a token is signed, as its header spells it.
type Algorithm string

const (
	HS256 Algorithm = "HS256"
	HS384 Algorithm = "HS384"
	HS512 Algorithm = "HS512"
	RS256 Algorithm = "RS256"
	RS384 Algorithm = "RS384"
	RS512 Algorithm = "RS512"
	PS256 Algorithm = "PS256"
	PS384 Algorithm = "PS384"
	PS512 Algorithm = "PS512"
	ES256 Algorithm = "ES256"
	ES384 Algorithm = "ES384"
	ES512 Algorithm = "ES512"
	EdDSA Algorithm = "EdDSA"
)

// The algorithms that a key of each type is for; it signs with the first.
var (
	secretAlgorithms  = []Algorithm{HS256, HS384, HS512}
	rsaAlgorithms     = []Algorithm{RS256, RS384, RS512, PS256, PS384, PS512}
	p256Algorithms    = []Algorithm{ES256}
	p384Algorithms    = []Algorithm{ES384}
	p521Algorithms    = []Algorithm{ES512}
	ed25519Algorithms = []Algorithm{EdDSA}

	publicAlgorithms = slices.Concat(rsaAlgorithms, p256Algorithms, p384Algorithms, p521Algorithms, ed25519Algorithms)
	algorithms       = slices.Concat(secretAlgorithms, publicAlgorithms)
)

// methods check and make the signatures.
var methods = map[Algorithm]jwt.SigningMethod{
	HS256: jwt.SigningMethodHS256, HS384: jwt.SigningMethodHS384, HS512: jwt.SigningMethodHS512,
	RS256: jwt.SigningMethodRS256, RS384: jwt.SigningMethodRS384, RS512: jwt.SigningMethodRS512,
	PS256: jwt.SigningMethodPS256, PS384: jwt.SigningMethodPS384, PS512: jwt.SigningMethodPS512,
	ES256: jwt.SigningMethodES256, ES384: jwt.SigningMethodES384, ES512: jwt.SigningMethodES512,
	EdDSA: jwt.SigningMethodEdDSA,
}

// algorithmNames lists them for a reader.
func algorithmNames() string {
	var names []string
	for _, a := range algorithms {
		names = append(names, string(a))
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

// algorithmsFor refuses public keys of types and sizes that no algorithm is for.
func algorithmsFor(public any) ([]Algorithm, error) {
	switch k := public.(type) {
	case *rsa.PublicKey:
		// Beyond 8192 bits a single check takes a millisecond of a shard's time.
		if bits := k.N.BitLen(); bits < 2048 || bits > 8192 {
			return nil, fmt.Errorf("an RSA key of %d bits, want 2048 to 8192", bits)
		}
		return rsaAlgorithms, nil
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			return p256Algorithms, nil
		case elliptic.P384():
			return p384Algorithms, nil
		case elliptic.P521():
			return p521Algorithms, nil
		}
		return nil, fmt.Errorf("an elliptic curve key on %s, want P-256, P-384 or P-521", k.Curve.Params().Name)
	case ed25519.PublicKey:
		return ed25519Algorithms, nil
	}
	return nil, fmt.Errorf("a key of type %T, want RSA, P-256, P-384, P-521 or Ed25519", public)
}

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
// and returns all errors.
func (j JWTConfig) staticKeys() (keys []key, errs []error) {
	for _, source := range []struct {
		name, inline, file string
		read               func(text []byte) ([]key, error)
	}{
		{"secret", j.Secret, j.SecretFile, secretKeys},
		{"public_key", j.PublicKey, j.PublicKeyFile, publicKeys},
	} {
		name, text, err := inlineOrFile(source.name, source.inline, source.file)
		if err == nil && name != "" {
			var read []key
			read, err = source.read(text)
			keys = append(keys, read...)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("auth.jwt.%s: %w", name, err))
		}
	}
	return keys, errs
}

func secretKeys(text []byte) ([]key, error) {
	secret, err := parseSecret(text)
	return []key{{algorithms: secretAlgorithms, material: secret}}, err
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

// secretPrefix stands before a secret that is written in base64.
const secretPrefix = "base64:"

// byteOrderMark begins the files of some editors.
var byteOrderMark = []byte("\ufeff")

// parseSecret returns the bytes of a shared secret as it is configured: less a
// byte order mark and one line end, which editors and echo put around it, and
// decoded where it says that it's in base64. It refuses a PEM block: if that is a
// public key, everybody knows it.
func parseSecret(text []byte) ([]byte, error) {
	if isUTF16(text) {
		return nil, errors.New("is text in UTF-16, want UTF-8")
	}
	secret := bytes.TrimPrefix(text, byteOrderMark)
	secret = bytes.TrimSuffix(bytes.TrimSuffix(secret, []byte("\n")), []byte("\r"))
	if encoded, ok := bytes.CutPrefix(secret, []byte(secretPrefix)); ok {
		decoded, err := decodeBase64(string(encoded))
		if err != nil {
			return nil, fmt.Errorf("the text behind %s is not base64: %w", secretPrefix, err)
		}
		secret = decoded
	}
	if len(secret) == 0 {
		return nil, errors.New("is empty")
	}
	if bytes.Contains(secret, []byte("-----BEGIN ")) {
		return nil, errors.New("holds a PEM block, which is no shared secret")
	}
	return secret, nil
}

// isUTF16 reports whether it's ASCII as some editors and shells of Windows write
// it, with the mark for it. Random bytes may begin with the mark, too.
func isUTF16(text []byte) bool {
	return len(text) >= 4 && (text[0] == 0xff && text[1] == 0xfe && text[3] == 0 || text[0] == 0xfe && text[1] == 0xff && text[2] == 0)
}

// urlAlphabet turns the URL-safe alphabet into the standard one.
var urlAlphabet = strings.NewReplacer("-", "+", "_", "/")

// decodeBase64 takes both alphabets, with padding or without. Line ends don't
// count: openssl rand -base64 breaks its lines.
func decodeBase64(text string) ([]byte, error) {
	text = strings.TrimRight(strings.TrimSpace(text), "=")
	return base64.RawStdEncoding.DecodeString(urlAlphabet.Replace(text))
}

// maxTries bounds the signature checks for one token: without a kid every key
// of its algorithm is a candidate.
const maxTries = 8

// keySet holds the keys of a Verifier. It is immutable and replaced as a whole.
type keySet struct {
	keys []key
	// remote is set when keys may be missing that a JWKS server has.
	remote bool
	// asked is when the fetch began that it came with; zero without one.
	asked time.Time
}

// verify checks the signature over the signed text. It returns errSignature
// when the keys that the token could be signed with say no, errKey when there
// are none. open says that one which isn't here may say yes: the token names it,
// or names none.
func (s *keySet) verify(h header, signed string, signature []byte) (err *Error, open bool) {
	method := methods[h.algorithm]
	named, tried := false, 0
	for i := range s.keys {
		k := &s.keys[i]
		if !slices.Contains(k.algorithms, h.algorithm) || h.kid != "" && k.id != "" && k.id != h.kid {
			continue
		}
		if tried++; tried > maxTries {
			break
		}
		if method.Verify(signed, signature, k.material) == nil {
			return nil, false
		}
		named = named || h.kid != "" && k.id == h.kid
	}
	open = s.remote && !named && slices.Contains(publicAlgorithms, h.algorithm)
	if tried == 0 || open && h.kid != "" {
		return errKey, open
	}
	return errSignature, open
}

// allowed derives the algorithms that the keys are for.
func (s *keySet) allowed() []Algorithm {
	found := make([]Algorithm, 0, len(algorithms))
	if s.remote {
		found = append(found, publicAlgorithms...)
	}
	for _, k := range s.keys {
		for _, a := range k.algorithms {
			if !slices.Contains(found, a) {
				found = append(found, a)
			}
		}
	}
	return found
}
