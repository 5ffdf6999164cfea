package admin

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
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

// ConnectionFilter chooses connections; an empty field matches all.
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

// filterParams are the parameters that choose connections.
var filterParams = []string{"channel", "transport", "address", "subject"}

func (r request) filter() (f ConnectionFilter, err error) {
	f.Channel, f.Transport = r.query.Get("channel"), r.query.Get("transport")
	switch f.Transport {
	case "", "websocket", "sse", "poll", "http", "echo":
	default:
		return f, badRequest("transport is websocket, sse, poll or http")
	}
	if r.query.Has("subject") {
		subject := r.query.Get("subject")
		f.Subject = &subject
	}
	f.Address, err = parseAddress(r.query.Get("address"))
	return f, err
}

// list serves GET /v1/connections.
func (c connectionCalls) list(r request) (any, error) {
	limit, err := r.limit()
	if err != nil {
		return nil, err
	}
	f, err := r.filter()
	if err != nil {
		return nil, err
	}
	page, err := c.connections.Connections(r.Context(), f, r.query.Get("cursor"), limit)
	if len(page.Connections) == 0 {
		page.Connections = []Connection{} // [], not null
	}
	return page, err
}

// one serves GET /v1/connections/{id}.
func (c connectionCalls) one(r request) (any, error) {
	return c.connections.Connection(r.Context(), r.PathValue("id"))
}

// closeOne serves DELETE /v1/connections/{id}.
func (c connectionCalls) closeOne(r request) (any, error) {
	n, err := c.connections.Close(r.Context(), ConnectionFilter{ID: r.PathValue("id")})
	if err == nil && n == 0 {
		err = ErrNoConnection
	}
	return closed{n}, err
}

// closeAll serves DELETE /v1/connections, which closes all connections that its
// filter matches and is refused without one.
func (c connectionCalls) closeAll(r request) (any, error) {
	f, err := r.filter()
	if err != nil {
		return nil, err
	}
	if f == (ConnectionFilter{}) {
		return nil, badRequest("say which: channel, transport, address or subject")
	}
	n, err := c.connections.Close(r.Context(), f)
	return closed{n}, err
}

// closed is the response to a DELETE.
type closed struct {
	Closed int `json:"closed"`
}

// AddressFilter chooses addresses: a network (10.0.0.0/8), one address, one
// address with its port, or the beginning of such a text (10.1. or [2001:db8:).
// The zero value matches all.
type AddressFilter struct {
	network netip.Prefix
	text    string
}

// addressBytes are the characters of addresses.
const addressBytes = "0123456789abcdef.:[]%"

func parseAddress(text string) (AddressFilter, error) {
	if text == "" {
		return AddressFilter{}, nil
	}
	if network, err := netip.ParsePrefix(text); err == nil {
		return AddressFilter{network: network.Masked()}, nil
	}
	if address, err := netip.ParseAddr(text); err == nil {
		address = address.Unmap()
		return AddressFilter{network: netip.PrefixFrom(address, address.BitLen())}, nil
	}
	text = strings.ToLower(text)
	if strings.Trim(text, addressBytes) != "" {
		return AddressFilter{}, badRequest("address is a network such as 10.0.0.0/8, an address, or the beginning of one")
	}
	return AddressFilter{text: text}, nil
}

// All reports whether every address matches.
func (f AddressFilter) All() bool { return f == AddressFilter{} }

// Match reports whether the filter chooses an address.
func (f AddressFilter) Match(a netip.AddrPort) bool {
	switch {
	case f.All():
		return true
	case !a.IsValid():
		return false
	case f.network.IsValid():
		return f.network.Contains(a.Addr().WithZone(""))
	}
	return strings.HasPrefix(a.String(), f.text)
}
