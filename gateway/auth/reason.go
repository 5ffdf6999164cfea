package auth

// Reason says why a token was refused. The same word is the metric label and part
// of the text for the client.
type Reason string

const (
	ReasonMissing   Reason = "missing"   // no token where one is required
	ReasonMalformed Reason = "malformed" // not a JWT, or too long
	ReasonExpired   Reason = "expired"   // exp has passed
	ReasonNotYet    Reason = "not_yet"   // nbf is still to come
	ReasonSignature Reason = "signature" // not signed by the key it names, or with an algorithm that is not allowed
	ReasonKey       Reason = "key"       // there is no key for its kid and algorithm
	ReasonAudience  Reason = "audience"  // issued for somebody else
	ReasonIssuer    Reason = "issuer"    // issued by somebody else
	ReasonClaims    Reason = "claims"    // signed, but its claims can't be used

	// ReasonKeyPending is the only one that passes: no key is known, and none has
	// been fetched since the token was first seen. The client is to try again.
	ReasonKeyPending Reason = "key_pending"
)

// Reasons lists every Reason, for those who label metrics.
func Reasons() []Reason {
	return []Reason{
		ReasonMissing, ReasonMalformed, ReasonExpired, ReasonNotYet, ReasonSignature,
		ReasonKey, ReasonAudience, ReasonIssuer, ReasonClaims, ReasonKeyPending,
	}
}

// Error is a refused token. Its text may be shown to the client: it holds
// nothing of the configuration.
type Error struct {
	Reason Reason
	// Detail is one clause for a reader, lower case.
	Detail string
}

func (e *Error) Error() string { return "token refused: " + string(e.Reason) + ": " + e.Detail }

// Refusals that are the same for every token are values made once, so that a
// flood of bad tokens costs no garbage for its errors.
var (
	errMissing     = &Error{ReasonMissing, "a token is required"}
	errTooLong     = &Error{ReasonMalformed, "the token is longer than 8192 bytes"}
	errParts       = &Error{ReasonMalformed, "want three parts separated by dots"}
	errBase64      = &Error{ReasonMalformed, "a part is not unpadded base64url"}
	errHeader      = &Error{ReasonMalformed, "the header is not a JSON object with an alg"}
	errCritical    = &Error{ReasonMalformed, "the header has critical extensions"}
	errAlgorithm   = &Error{ReasonSignature, "the algorithm is not allowed"}
	errSignature   = &Error{ReasonSignature, "the signature does not match"}
	errKey         = &Error{ReasonKey, "no key is known for it"}
	errKeyPending  = &Error{ReasonKeyPending, "its key is not known yet, try again"}
	errExpired     = &Error{ReasonExpired, "it has expired"}
	errNotYet      = &Error{ReasonNotYet, "it is not valid yet"}
	errAudience    = &Error{ReasonAudience, "it is meant for another audience"}
	errIssuer      = &Error{ReasonIssuer, "it comes from another issuer"}
	errNotObject   = &Error{ReasonClaims, "the claims are not a JSON object in UTF-8"}
	errNoExpiry    = &Error{ReasonClaims, "exp is required"}
	errSubjectLong = &Error{ReasonClaims, "sub is longer than 256 bytes"}
	errSubject     = &Error{ReasonClaims, "sub is required where {sub} is used"}
)
