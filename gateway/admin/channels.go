package admin

import (
	"context"
	"net/http"
	"strconv"
	"strings"
)

// Channels tells about the channels that have subscribers on this gateway. Its
// methods are called on goroutines of requests and return when the shards have
// answered or ctx ends.
type Channels interface {
	Channels(ctx context.Context, q ChannelQuery) (ChannelPage, error)
	Channel(ctx context.Context, name string) (ChannelDetail, error)
	// Forget removes a channel's history on every gateway, and returns how many
	// messages it had in Redis.
	Forget(ctx context.Context, name string) (int64, error)
}

// ChannelQuery chooses channels.
type ChannelQuery struct {
	Prefix        string
	BySubscribers bool // the most first; else by name
	After         *Channel
	Limit         int
}

// Channel is a channel in a list.
type Channel struct {
	Name        string `json:"name"`
	Subscribers int    `json:"subscribers"` // on this gateway
}

// Before reports whether a comes before b in the response to q.
func (q *ChannelQuery) Before(a, b Channel) bool {
	if q.BySubscribers && a.Subscribers != b.Subscribers {
		return a.Subscribers > b.Subscribers
	}
	return a.Name < b.Name
}

// ChannelPage is a part of the channels.
type ChannelPage struct {
	Node     string    `json:"node"`
	Total    int       `json:"total"` // all that the filter matches
	Channels []Channel `json:"channels"`
	Next     string    `json:"next,omitempty"` // cursor of the next page
}

// ChannelDetail describes one channel on this gateway.
type ChannelDetail struct {
	Node string `json:"node"`
	Channel
	// Subscribed says that the channel's messages come in from Redis: it has
	// subscribers, or had them a short while ago.
	Subscribed bool `json:"subscribed"`
	// Durable is the id of the last durable message that came in.
	Durable string `json:"durable,omitempty"`
	// Position is the position after the last message of any kind.
	Position string `json:"position,omitempty"`
	Ring     Ring   `json:"ring"`
}

// Ring describes the messages in memory for clients that come back.
type Ring struct {
	Messages int    `json:"messages"`
	Bytes    int    `json:"bytes"`
	First    string `json:"first,omitempty"` // id of the oldest one
}

type channelCalls struct{ channels Channels }

// list serves GET /v1/channels.
func (c channelCalls) list(r request) (any, error) {
	q := ChannelQuery{Prefix: r.query.Get("prefix")}
	var err error
	if q.Limit, err = r.limit(); err != nil {
		return nil, err
	}
	switch r.query.Get("sort") {
	case "", "subscribers":
		q.BySubscribers = true
	case "name":
	default:
		return nil, badRequest("sort is subscribers or name")
	}
	if cursor := r.query.Get("cursor"); cursor != "" {
		if q.After, err = parseChannelCursor(cursor); err != nil {
			return nil, err
		}
	}
	page, err := c.channels.Channels(r.Context(), q)
	if len(page.Channels) == 0 {
		page.Channels = []Channel{} // [], not null
	}
	return page, err
}

// one serves GET /v1/channels/{name}. Every valid name names a channel.
func (c channelCalls) one(r request) (any, error) {
	return c.channels.Channel(r.Context(), r.PathValue("name"))
}

// forget serves DELETE /v1/channels/{name}/history. A name may hold slashes, and
// the channel itself can't be deleted.
func (c channelCalls) forget(r request) (any, error) {
	name, ok := strings.CutSuffix(r.PathValue("name"), "/history")
	if !ok {
		return nil, methodNotAllowed(r.w, []string{http.MethodGet}, "this path takes GET; DELETE is for /v1/channels/NAME/history")
	}
	had, err := c.channels.Forget(r.Context(), name)
	return struct {
		Channel   string `json:"channel"`
		Forgotten int64  `json:"forgotten"`
	}{name, had}, err
}

// Cursor returns the cursor that goes on after c.
func (c Channel) Cursor() string { return strconv.Itoa(c.Subscribers) + "," + c.Name }

func parseChannelCursor(text string) (*Channel, error) {
	count, name, ok := strings.Cut(text, ",")
	n, err := strconv.Atoi(count)
	if !ok || err != nil {
		return nil, badRequest("cursor is not the next of an earlier response")
	}
	return &Channel{Name: name, Subscribers: n}, nil
}
