package admin

import (
	"net/http"
	"slices"
	"strings"
)

// routes is what this package serves under /v1/, by path and method.
type routes map[string]map[string]func(w http.ResponseWriter, r *http.Request) error

// Handler serves the operator's calls, those whose paths begin with /v1/.
func Handler(p Publisher, ch Channels, co Connections, dr Drainer, no Nodes) http.Handler {
	channels, connections, fleet := channelCalls{ch}, connectionCalls{co}, fleetCalls{no}
	return routes{
		"/v1/publish":            {http.MethodPost: publishCall{p}.publish},
		"/v1/channels":           {http.MethodGet: channels.list},
		"/v1/channels/{name...}": {http.MethodGet: channels.one, http.MethodDelete: channels.forget},
		"/v1/connections":        {http.MethodGet: connections.list, http.MethodDelete: connections.closeAll},
		"/v1/drain":              {http.MethodPost: drainCall{dr}.drain},
		"/v1/nodes":              {http.MethodGet: fleet.list},
		"/v1/rebalance":          {http.MethodPost: fleet.even},
		"/v1/connections/{id}":   {http.MethodGet: connections.one, http.MethodDelete: connections.closeOne},
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
