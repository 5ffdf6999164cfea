package admin

import (
	"net/http"
	"slices"
	"strings"
)

// routes is what this package serves under /v1/, by path and method.
type routes map[string]map[string]func(w http.ResponseWriter, r *http.Request) error

// Handler serves the operator's calls, those whose paths begin with /v1/.
// drain answers POST /v1/drain.
func Handler(p Publisher, ch Channels, co Connections, drain http.HandlerFunc) http.Handler {
	channels, connections := channelCalls{ch}, connectionCalls{co}
	return routes{
		"/v1/publish":            {http.MethodPost: publishCall{p}.publish},
		"/v1/channels":           {http.MethodGet: channels.list},
		"/v1/channels/{name...}": {http.MethodGet: channels.one},
		"/v1/connections":        {http.MethodGet: connections.list, http.MethodDelete: connections.closeAll},
		"/v1/drain": {http.MethodPost: func(w http.ResponseWriter, r *http.Request) error {
			// A fraction in the wrong place must not become a shutdown.
			if _, err := query(r); err != nil {
				return err
			}
			drain(w, r)
			return nil
		}},
		"/v1/connections/{id}": {http.MethodGet: connections.one, http.MethodDelete: connections.closeOne},
	}.handler()
}

// handler routes requests. Unlike http.ServeMux alone it refuses in JSON.
func (t routes) handler() http.Handler {
	mux := http.NewServeMux()
	for path, methods := range t {
		allowed := []string{}
		for method := range methods {
			allowed = append(allowed, method)
		}
		slices.Sort(allowed)
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			method := r.Method
			if method == http.MethodHead {
				method = http.MethodGet
			}
			call, ok := methods[method]
			if !ok {
				w.Header().Set("Allow", strings.Join(allowed, ", "))
				fail(w, &Error{http.StatusMethodNotAllowed, codeMethod, "this path takes " + strings.Join(allowed, " and ")})
				return
			}
			if err := call(w, r); err != nil {
				fail(w, err)
			}
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		fail(w, &Error{http.StatusNotFound, codeNotFound, "no such path"})
	})
	return mux
}
