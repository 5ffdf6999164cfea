package auth

import (
	"slices"
	"time"
)

// maxTries bounds the signature checks for one token: without a kid every key
// of its algorithm is a candidate.
const maxTries = 8

// keySet is what a Verifier knows at a time. It is immutable and replaced as a
// whole.
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
