package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Bounds on what a token may carry, beside its 8 KiB.
const (
	maxSubject = 256
	maxEntries = 100
)

// maxCachedRights keeps lists that are long, and so hardly shared, out of the
// cache of rights.
const maxCachedRights = 512

// claims are the known members of the claims object, as they are written; nil
// where they are missing. They belong to the buffer they were parsed from.
type claims struct {
	sub, exp, nbf, aud, iss      []byte
	subscribe, publish, channels []byte
}

// parse refuses a claim that is given twice: which one counts would depend on
// the reader (RFC 7519 section 4).
func (c *claims) parse(payload []byte) error {
	err := eachMember(payload, func(name, value []byte) error {
		var field *[]byte
		switch string(name) {
		case "sub":
			field = &c.sub
		case "exp":
			field = &c.exp
		case "nbf":
			field = &c.nbf
		case "aud":
			field = &c.aud
		case "iss":
			field = &c.iss
		case "subscribe":
			field = &c.subscribe
		case "publish":
			field = &c.publish
		case "channels":
			field = &c.channels
		default:
			return nil
		}
		if *field != nil {
			return claimError(string(name), errors.New("is given twice"))
		}
		*field = value
		return nil
	})
	if err == errObject {
		return errNotObject
	}
	return err
}

func claimError(name string, err error) *Error {
	return &Error{ReasonClaims, name + ": " + err.Error()}
}

func absent(value []byte) bool { return value == nil || string(value) == "null" }

// text returns a claim that is a string; empty when it is absent.
func text(name string, value []byte) (string, error) {
	if absent(value) {
		return "", nil
	}
	s, ok := unquote(value)
	if !ok {
		return "", claimError(name, errors.New("want a string"))
	}
	return s, nil
}

// seconds returns a NumericDate (RFC 7519 section 2), which may have a
// fraction; zero when it is absent.
func seconds(name string, value []byte) (time.Time, error) {
	if absent(value) {
		return time.Time{}, nil
	}
	const latest = 253402300799 // the end of the year 9999
	s, err := strconv.ParseFloat(string(value), 64)
	if err != nil || s < 0 || s > latest {
		return time.Time{}, claimError(name, errors.New("want seconds since 1970"))
	}
	whole, part := math.Modf(s)
	return time.Unix(int64(whole), int64(part*1e9)).UTC(), nil
}

// stringOrStrings returns a claim that is a string or an array of strings.
func stringOrStrings(name string, value []byte) ([]string, error) {
	if absent(value) {
		return nil, nil
	}
	if s, ok := unquote(value); ok {
		return []string{s}, nil
	}
	var all []string
	if json.Unmarshal(value, &all) != nil {
		return nil, claimError(name, errors.New("want a string or an array of strings"))
	}
	return all, nil
}

// list returns a claim that is an array of strings or one comma separated
// string.
func list(value []byte) ([]string, error) {
	if absent(value) {
		return nil, nil
	}
	var all []string
	if s, ok := unquote(value); ok {
		all = SplitList(s)
	} else if json.Unmarshal(value, &all) != nil {
		return nil, errors.New("want an array of strings or a comma separated string")
	}
	if len(all) > maxEntries {
		return nil, fmt.Errorf("has %d entries, want at most %d", len(all), maxEntries)
	}
	return all, nil
}

// SplitList splits a comma separated list as claims have it; spaces around
// entries don't count, and the empty string is the empty list.
func SplitList(s string) []string {
	if strings.TrimSpace(s) == "" {
		return nil
	}
	all := strings.Split(s, ",")
	for i := range all {
		all[i] = strings.TrimSpace(all[i])
	}
	return all
}

// rights are the compiled claims that many tokens have in common.
type rights struct {
	subscribe, publish Patterns
	// channels hold {sub} when template is set.
	channels []string
	template bool
}

func (r *rights) usesSubject() bool {
	return r.template || r.subscribe.usesSubject() || r.publish.usesSubject()
}

// parseRights compiles the three lists; its error names the claim.
func parseRights(c *claims, valid func(string) error) (*rights, error) {
	r := &rights{}
	patterns := func(name string, value []byte) (Patterns, error) {
		texts, err := list(value)
		if err != nil {
			return Patterns{}, claimError(name, err)
		}
		p, err := parsePatterns(texts, valid)
		if err != nil {
			return Patterns{}, claimError(name, err)
		}
		return p, nil
	}
	var err error
	if r.subscribe, err = patterns("subscribe", c.subscribe); err != nil {
		return nil, err
	}
	if r.publish, err = patterns("publish", c.publish); err != nil {
		return nil, err
	}
	if r.channels, err = list(c.channels); err != nil {
		return nil, claimError("channels", err)
	}
	for _, name := range r.channels {
		r.template = r.template || strings.Contains(name, subject)
		if err := valid(fill(name, "s")); err != nil {
			return nil, claimError("channels", fmt.Errorf("%q: %w", name, err))
		}
	}
	return r, nil
}

// channelsFor returns the channels with the subject put in, without names that
// it makes too long. Without {sub} it is the shared list.
func (r *rights) channelsFor(sub string, valid func(string) error) []string {
	if !r.template {
		return r.channels
	}
	own := make([]string, 0, len(r.channels))
	for _, name := range r.channels {
		if name = fill(name, sub); valid(name) == nil {
			own = append(own, name)
		}
	}
	return own
}
