package admin

import (
	"context"
	"net/http"
	"net/url"
)

// Connections tells about the clients of this gateway and ends them. Its
// methods are called on goroutines of requests and return when the shards have
// answered or ctx ends.
type Connections interface {
	Connections(ctx context.Context, f ConnectionFilter, cursor string, limit int) (ConnectionPage, error)
	// Connection returns ErrNoConnection when there is none of this id.
	Connection(ctx context.Context, id string) (ConnectionDetail, error)
	// Close ends the connections that f matches and returns how many.
	Close(ctx context.Context, f ConnectionFilter) (int, error)
}

// ConnectionFilter chooses connections; what is empty matches all.
type ConnectionFilter struct {
	ID        string
	Channel   string
	Transport string
	Address   AddressFilter
	Subject   *string // empty: clients without one
}

// ErrNoConnection says that no connection has the id, any more.
var ErrNoConnection = &Error{http.StatusNotFound, codeNotFound, "no such connection on this gateway"}

// Connection is a connection in a list.
type Connection struct {
	ID            string  `json:"id"`
	Transport     string  `json:"transport"`         // websocket, sse, poll, echo; http between two requests
	Address       string  `json:"address,omitempty"` // empty for a unix socket
	Subject       string  `json:"subject,omitempty"` // of its token
	AgeSeconds    float64 `json:"age_seconds"`
	Subscriptions int     `json:"subscriptions"`
	QueuedBytes   int     `json:"queued_bytes"`
}

// ConnectionPage is a part of the connections.
type ConnectionPage struct {
	Node        string       `json:"node"`
	Connections []Connection `json:"connections"`
	Next        string       `json:"next,omitempty"` // cursor of the next page
}

// ConnectionDetail is one connection with its channels.
type ConnectionDetail struct {
	Node string `json:"node"`
	Connection
	Channels []string `json:"channels"` // the first thousand
}

type connectionCalls struct{ connections Connections }

// filterNames are the parameters that choose connections.
var filterNames = []string{"channel", "transport", "address", "subject"}

func filterOf(q url.Values) (f ConnectionFilter, err error) {
	f.Channel, f.Transport = q.Get("channel"), q.Get("transport")
	switch f.Transport {
	case "", "websocket", "sse", "poll", "http", "echo":
	default:
		return f, badRequest("transport is websocket, sse, poll or http")
	}
	if q.Has("subject") {
		subject := q.Get("subject")
		f.Subject = &subject
	}
	f.Address, err = parseAddress(q.Get("address"))
	return f, err
}

// list answers GET /v1/connections.
func (c connectionCalls) list(w http.ResponseWriter, r *http.Request) error {
	q, err := query(r, append([]string{"limit", "cursor"}, filterNames...)...)
	if err != nil {
		return err
	}
	limit, err := limitOf(q)
	if err != nil {
		return err
	}
	f, err := filterOf(q)
	if err != nil {
		return err
	}
	page, err := c.connections.Connections(r.Context(), f, q.Get("cursor"), limit)
	if err != nil {
		return err
	}
	if len(page.Connections) == 0 {
		page.Connections = []Connection{} // [], not null
	}
	answer(w, http.StatusOK, page)
	return nil
}

// one answers GET /v1/connections/{id}.
func (c connectionCalls) one(w http.ResponseWriter, r *http.Request) error {
	detail, err := c.connections.Connection(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, detail)
	return nil
}

// closeOne answers DELETE /v1/connections/{id}.
func (c connectionCalls) closeOne(w http.ResponseWriter, r *http.Request) error {
	n, err := c.connections.Close(r.Context(), ConnectionFilter{ID: r.PathValue("id")})
	if err == nil && n == 0 {
		err = ErrNoConnection
	}
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, closed{n})
	return nil
}

// closeAll answers DELETE /v1/connections, which closes what its filter
// matches and is refused without one.
func (c connectionCalls) closeAll(w http.ResponseWriter, r *http.Request) error {
	q, err := query(r, filterNames...)
	if err != nil {
		return err
	}
	f, err := filterOf(q)
	if err != nil {
		return err
	}
	if f == (ConnectionFilter{}) {
		return badRequest("say which: channel, transport, address or subject")
	}
	n, err := c.connections.Close(r.Context(), f)
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, closed{n})
	return nil
}

// closed is the answer to a DELETE.
type closed struct {
	Closed int `json:"closed"`
}
