package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"fmt"
	"slices"
	"strings"

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
