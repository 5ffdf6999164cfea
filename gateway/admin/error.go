package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// Error is an answer to a request that can't be served. Its JSON is the same
// as that of the public listener.
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

// Busy is the answer to what can't begin beside something that runs.
func Busy(err error) *Error { return &Error{http.StatusConflict, codeBusy, err.Error()} }

func badRequest(format string, args ...any) *Error {
	return &Error{http.StatusBadRequest, codeBadRequest, fmt.Sprintf(format, args...)}
}

// fail answers with err; what is no *Error means that the gateway can't answer
// at present.
func fail(w http.ResponseWriter, err error) {
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{http.StatusServiceUnavailable, codeUnavailable, err.Error()}
	}
	answer(w, e.Status, struct {
		Error *Error `json:"error"`
	}{e})
}

// answer writes v as JSON.
func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// A client that went away needs no answer.
	_ = json.NewEncoder(w).Encode(v)
}
