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

// Before reports whether a comes before b in an answer to q.
func (q *ChannelQuery) Before(a, b Channel) bool {
	if q.BySubscribers && a.Subscribers != b.Subscribers {
		return a.Subscribers > b.Subscribers
	}
	return a.Name < b.Name
}

// ChannelPage is a part of the channels.
type ChannelPage struct {
	Node     string    `json:"node"`
	Total    int       `json:"total"` // that the filter matches
	Channels []Channel `json:"channels"`
	Next     string    `json:"next,omitempty"` // cursor of the next page
}

// ChannelDetail is what this gateway knows of one channel.
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

// Ring is what is kept in memory for clients that come back.
type Ring struct {
	Messages int    `json:"messages"`
	Bytes    int    `json:"bytes"`
	First    string `json:"first,omitempty"` // id of the oldest one
}

type channelCalls struct{ channels Channels }

// list answers GET /v1/channels.
func (c channelCalls) list(w http.ResponseWriter, r *http.Request) error {
	values, err := query(r, "prefix", "sort", "limit", "cursor")
	if err != nil {
		return err
	}
	q := ChannelQuery{Prefix: values.Get("prefix")}
	if q.Limit, err = limitOf(values); err != nil {
		return err
	}
	switch values.Get("sort") {
	case "", "subscribers":
		q.BySubscribers = true
	case "name":
	default:
		return badRequest("sort is subscribers or name")
	}
	if cursor := values.Get("cursor"); cursor != "" {
		if q.After, err = parseChannelCursor(cursor); err != nil {
			return err
		}
	}
	page, err := c.channels.Channels(r.Context(), q)
	if err != nil {
		return err
	}
	if len(page.Channels) == 0 {
		page.Channels = []Channel{} // [], not null
	}
	answer(w, http.StatusOK, page)
	return nil
}

// one answers GET /v1/channels/{name}. Every valid name is that of a channel.
func (c channelCalls) one(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	detail, err := c.channels.Channel(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, detail)
	return nil
}

// forget answers DELETE /v1/channels/{name}/history. A name may hold slashes, and
// the channel itself can't be deleted.
func (c channelCalls) forget(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	name, ok := strings.CutSuffix(r.PathValue("name"), "/history")
	if !ok {
		w.Header().Set("Allow", http.MethodGet)
		return &Error{http.StatusMethodNotAllowed, codeMethod, "this path takes GET; DELETE is for /v1/channels/NAME/history"}
	}
	had, err := c.channels.Forget(r.Context(), name)
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, struct {
		Channel   string `json:"channel"`
		Forgotten int64  `json:"forgotten"`
	}{name, had})
	return nil
}

// Cursor returns the cursor that goes on after c.
func (c Channel) Cursor() string { return strconv.Itoa(c.Subscribers) + "," + c.Name }

func parseChannelCursor(text string) (*Channel, error) {
	count, name, ok := strings.Cut(text, ",")
	n, err := strconv.Atoi(count)
	if !ok || err != nil {
		return nil, badRequest("cursor is not the next of an earlier answer")
	}
	return &Channel{Name: name, Subscribers: n}, nil
}
