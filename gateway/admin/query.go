package admin

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Bounds of an answer's length.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

// query returns the parameters of a request, which must be among the known
// ones: a filter with a slip of the pen would match everything.
func query(r *http.Request, known ...string) (url.Values, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, badRequest("the query is malformed: %v", err)
	}
	for name, values := range q {
		if !slices.Contains(known, name) {
			if len(known) == 0 {
				return nil, badRequest("unknown parameter %.40q: this call takes none", name)
			}
			return nil, badRequest("unknown parameter %.40q, known are %s", name, strings.Join(known, ", "))
		}
		if len(values) > 1 {
			return nil, badRequest("%s is given %d times", name, len(values))
		}
	}
	return q, nil
}

// limitOf returns how long an answer may be.
func limitOf(q url.Values) (int, error) {
	text := q.Get("limit")
	if text == "" {
		return defaultLimit, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxLimit {
		return 0, badRequest("limit is a number from 1 to %d", maxLimit)
	}
	return n, nil
}
