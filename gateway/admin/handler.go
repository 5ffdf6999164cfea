// Package admin is the operator's HTTP interface: access, requests, and responses
// in JSON. The gateway does the work behind small interfaces.
package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// request is a call with its query parameters.
type request struct {
	*http.Request
	w     http.ResponseWriter
	query url.Values
}

// call serves a request: with the body of a 200, or a response of another status.
// An error that is no *Error means that the gateway can't answer at present.
type call func(r request) (body any, err error)

// response is a body with a status other than 200.
type response struct {
	status int
	body   any
}

// route is a call with the query parameters that it takes.
type route struct {
	call   call
	params []string
}

// anyParams lets a call ignore its query.
var anyParams = []string{"*"}

// Handler serves the operator's calls, those whose paths begin with /v1/. Unlike
// http.ServeMux alone it refuses in JSON.
func Handler(p Publisher, ch Channels, co Connections, dr Drainer, no Nodes) http.Handler {
	const get, post, del = http.MethodGet, http.MethodPost, http.MethodDelete
	channels, connections, nodes := channelCalls{ch}, connectionCalls{co}, nodeCalls{dr, no}
	mux := http.NewServeMux()
	for path, methods := range map[string]map[string]route{
		"/v1/publish":            {post: {publishCall{p}.publish, anyParams}},
		"/v1/channels":           {get: {channels.list, []string{"prefix", "sort", "limit", "cursor"}}},
		"/v1/channels/{name...}": {get: {channels.one, nil}, del: {channels.forget, nil}},
		"/v1/connections":        {get: {connections.list, append([]string{"limit", "cursor"}, filterParams...)}, del: {connections.closeAll, filterParams}},
		"/v1/connections/{id}":   {get: {connections.one, anyParams}, del: {connections.closeOne, anyParams}},
		"/v1/drain":              {post: {nodes.drain, nil}},
		"/v1/nodes":              {get: {nodes.list, nil}},
		"/v1/rebalance":          {post: {nodes.rebalance, nil}},
	} {
		allowed := slices.Sorted(maps.Keys(methods))
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			method := r.Method
			if method == http.MethodHead {
				method = get
			}
			found, ok := methods[method]
			if !ok {
				refuse(w, methodNotAllowed(w, allowed, "this path takes "+strings.Join(allowed, " and ")))
				return
			}
			found.serve(w, r)
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, &Error{http.StatusNotFound, codeNotFound, "no such path"})
	})
	return mux
}

func (rt route) serve(w http.ResponseWriter, r *http.Request) {
	query, err := checkQuery(r, rt.params)
	var body any
	if err == nil {
		body, err = rt.call(request{r, w, query})
	}
	other, hasStatus := body.(response)
	switch {
	case err != nil:
		refuse(w, err)
	case hasStatus:
		respond(w, other.status, other.body)
	default:
		respond(w, http.StatusOK, body)
	}
}

// checkQuery returns the parameters of a request, which must be among the known
// ones: a filter with a typing error would match everything.
func checkQuery(r *http.Request, known []string) (url.Values, error) {
	if len(known) > 0 && &known[0] == &anyParams[0] {
		return nil, nil
	}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, badRequest("the query is malformed: %v", err)
	}
	for name, values := range q {
		switch {
		case !slices.Contains(known, name) && len(known) == 0:
			return nil, badRequest("unknown parameter %.40q: this call takes none", name)
		case !slices.Contains(known, name):
			return nil, badRequest("unknown parameter %.40q, known are %s", name, strings.Join(known, ", "))
		case len(values) > 1:
			return nil, badRequest("%s is given %d times", name, len(values))
		}
	}
	return q, nil
}

// Bounds of the items in a response.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

// limit returns how many items a response may have.
func (r request) limit() (int, error) {
	text := r.query.Get("limit")
	if text == "" {
		return defaultLimit, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxLimit {
		return 0, badRequest("limit is a number from 1 to %d", maxLimit)
	}
	return n, nil
}

// Error is the response to a request that can't be served. Its JSON is the same
// as the public listener's.
type Error struct {
	Status  int    `json:"-"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (e *Error) Error() string { return e.Message }

// Codes of errors.
const (
	codeBadRequest   = "bad_request"
	codeUnauthorized = "unauthorized"
	codeForbidden    = "forbidden"
	codeNotFound     = "not_found"
	codeMethod       = "method_not_allowed"
	codeTooLarge     = "too_large"
	codeMediaType    = "unsupported_media_type"
	codeBusy         = "busy"
	codeUnavailable  = "unavailable"
)

// Busy is the response where something that runs is in the way.
func Busy(err error) *Error { return &Error{http.StatusConflict, codeBusy, err.Error()} }

func badRequest(format string, args ...any) *Error {
	return &Error{http.StatusBadRequest, codeBadRequest, fmt.Sprintf(format, args...)}
}

func tooLarge(message string) *Error {
	return &Error{http.StatusRequestEntityTooLarge, codeTooLarge, message}
}

func methodNotAllowed(w http.ResponseWriter, allowed []string, message string) *Error {
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	return &Error{http.StatusMethodNotAllowed, codeMethod, message}
}

func refuse(w http.ResponseWriter, err error) {
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{http.StatusServiceUnavailable, codeUnavailable, err.Error()}
	}
	respond(w, e.Status, struct {
		Error *Error `json:"error"`
	}{e})
}

// respond writes body as JSON.
func respond(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // fails where the client is gone
}
