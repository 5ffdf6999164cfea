package http1

import (
	"bytes"
	"fmt"
)

// MaxParameters bounds the parameters of one query.
const MaxParameters = 64

// Query reads the parameters of a query string in the form that browsers
// send (application/x-www-form-urlencoded): pairs separated by '&', "%XX" for
// any byte, '+' for a space.
//
// Names and values that need no decoding point into the request; decoded ones
// point into the scratch buffer, or into fresh memory once that is full.
type Query struct {
	raw     []byte
	rest    []byte
	scratch []byte
	count   int
	err     error
}

// Query returns a reader of the request's query. With a scratch of
// len(r.RawQuery) bytes one pass over all parameters does not allocate.
func (r *Request) Query(scratch []byte) Query {
	return Query{raw: r.RawQuery, rest: r.RawQuery, scratch: scratch[:0]}
}

// Next returns the next parameter; ok is false after the last one and after a
// malformed one, see Err. A parameter without '=' has an empty value.
func (q *Query) Next() (name, value []byte, ok bool) {
	pair := q.pair()
	if pair == nil {
		return nil, nil, false
	}
	name, value, _ = bytes.Cut(pair, equals)
	name = q.decode(name)
	value = q.decode(value)
	if q.err != nil {
		return nil, nil, false
	}
	return name, value, true
}

// Err returns what stopped Next or Get before the end of the query.
func (q *Query) Err() error { return q.err }

// Get returns the first parameter of that name. It searches from the start,
// ends an iteration by Next, and leaves values returned earlier intact.
func (q *Query) Get(name string) (value []byte, ok bool) {
	q.rest, q.count = q.raw, 0
	for {
		pair := q.pair()
		if pair == nil {
			return nil, false
		}
		n, v, _ := bytes.Cut(pair, equals)
		kept := len(q.scratch)
		found := string(q.decode(n)) == name
		q.scratch = q.scratch[:kept]
		if found && q.err == nil {
			v = q.decode(v)
		}
		if q.err != nil {
			return nil, false
		}
		if found {
			return v, true
		}
	}
}

// Int returns the first parameter of that name, a decimal number from low to
// high, neither negative, or absent when there is none.
func (q *Query) Int(name string, absent, low, high int64) (int64, error) {
	value, ok := q.Get(name)
	if q.err != nil {
		return 0, q.err
	}
	if !ok {
		return absent, nil
	}
	n, ok := parseDecimal(value)
	if !ok || n < low || n > high {
		return 0, &Error{400, CodeQuery, fmt.Sprintf("parameter %s must be a number from %d to %d", name, low, high)}
	}
	return n, nil
}

var (
	equals    = []byte("=")
	ampersand = []byte("&")
)

// pair cuts the next pair that is not empty off the rest; nil at the end or
// on an error.
func (q *Query) pair() (pair []byte) {
	for len(q.rest) > 0 && q.err == nil {
		pair, q.rest, _ = bytes.Cut(q.rest, ampersand)
		if len(pair) == 0 {
			continue
		}
		if q.count++; q.count > MaxParameters {
			q.err = errQueryCount
			return nil
		}
		// Some readers take a semicolon for a separator.
		if bytes.IndexByte(pair, ';') >= 0 {
			q.err = errQuerySemicolon
			return nil
		}
		return pair
	}
	return nil
}

// decode returns src without percent-encoding, src itself where there is none.
func (q *Query) decode(src []byte) []byte {
	i := bytes.IndexAny(src, "%+")
	if i < 0 || q.err != nil {
		return src
	}
	start := len(q.scratch)
	q.scratch = append(q.scratch, src[:i]...)
	for ; i < len(src); i++ {
		c := src[i]
		switch {
		case c == '+':
			c = ' '
		case c == '%':
			if !escaped(src[i:]) {
				q.err = errQueryEscape
				return nil
			}
			c = unhex(src[i+1])<<4 | unhex(src[i+2])
			i += 2
		}
		q.scratch = append(q.scratch, c)
	}
	end := len(q.scratch)
	return q.scratch[start:end:end]
}
