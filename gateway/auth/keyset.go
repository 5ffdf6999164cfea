package auth

import "slices"

// maxTries bounds the signature checks for one token: without a kid every key
// of its algorithm is a candidate.
const maxTries = 8

// keySet is what a Verifier knows at a time. It is immutable and replaced as a
// whole.
type keySet struct {
	keys []key
	// remote is set when keys may be missing that a JWKS server has.
	remote bool
}

// verify checks the signature over the signed text. It returns errSignature
// when the keys that the token could be signed with say no, errKey when there
// are none, or when the one that it names isn't here yet.
func (s *keySet) verify(h header, signed string, signature []byte) *Error {
	named, tried := h.kid == "" || !s.remote, 0
	for i := range s.keys {
		k := &s.keys[i]
		if k.algorithm != h.algorithm || h.kid != "" && k.id != "" && k.id != h.kid {
			continue
		}
		if tried++; tried > maxTries {
			break
		}
		if k.method.Verify(signed, signature, k.material) == nil {
			return nil
		}
		named = named || k.id == h.kid
	}
	if tried == 0 || !named {
		return errKey
	}
	return errSignature
}

// allowed derives the algorithms that the keys are for.
func (s *keySet) allowed() []Algorithm {
	found := make([]Algorithm, 0, len(algorithms))
	if s.remote {
		found = append(found, RS256, ES256, EdDSA)
	}
	for _, k := range s.keys {
		if !slices.Contains(found, k.algorithm) {
			found = append(found, k.algorithm)
		}
	}
	return found
}
