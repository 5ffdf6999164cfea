package gatewaytest

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
)

// Message is a message of the gateway to its clients.
type Message struct {
	Type, Channel, ID, Reason, Code string
	Data                            json.RawMessage
	ReconnectAfterMS                int64 `json:"reconnect_after_ms"`
}

// SmallWindow is the Control of a net.Dialer for clients that don't read: with a receive buffer
// of 2 KiB, their unread bytes stay in the gateway.
func SmallWindow(_, _ string, c syscall.RawConn) (err error) {
	if e := c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 2048) }); e != nil {
		return e
	}
	return err
}

// Client is a client as docs/PROTOCOL.md describes it. Each call of WebSocket, Events or Poll
// resumes at the position of the last one, at any gateway. One goroutine at a time may use it.
type Client struct {
	// Set by the caller, also between calls
	Base     string // http://host:port
	Channels []string
	Header   http.Header       // of its requests, or nil
	Dialer   *websocket.Dialer // nil: the default one
	HTTP     *http.Client      // nil: the default one
	Post     bool              // polls have their parameters in the body
	Wait     int               // seconds of a poll
	Most     int               // messages of a poll; 0: the gateway's default

	// Take is called with each message, and ends the connection by an error. A channel in a
	// poll's gaps comes as a message of the type gap, an event with a position alone as one without
	// a type, and anything that isn't JSON as Data of the type malformed.
	Take func(m Message) error

	// Updated by each call

	Position  string            // of an event stream or a poll; where a WebSocket first subscribes; empty: now
	Reconnect time.Duration     // the delay of a WebSocket's bye, or an event stream's retry; 0: none came
	positions map[string]string // of a WebSocket, by channel
}

// Refusal is an answer with a status that isn't the one of success.
type Refusal struct {
	Status int
	Text   string
}

func (r *Refusal) Error() string {
	return strings.TrimSpace(fmt.Sprintf("%d %s %.100s", r.Status, http.StatusText(r.Status), r.Text))
}

// refusal reads an answer.
func refusal(resp *http.Response) error {
	text, _ := io.ReadAll(resp.Body)
	return &Refusal{resp.StatusCode, string(text)}
}

// deliver gives a message in JSON to Take.
func (c *Client) deliver(text []byte) (m Message, err error) {
	if err := json.Unmarshal(text, &m); err != nil {
		m = Message{Type: "malformed", Data: text}
	}
	return m, c.Take(m)
}

// WebSocket connects, subscribes by messages, and reads until the connection or ctx ends.
func (c *Client) WebSocket(ctx context.Context) error {
	c.Reconnect = 0
	conn, resp, err := cmp.Or(c.Dialer, websocket.DefaultDialer).DialContext(ctx, "ws"+strings.TrimPrefix(c.Base, "http")+"/v1/ws", c.Header)
	if err != nil {
		if resp != nil {
			return refusal(resp)
		}
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	for _, channel := range c.Channels {
		subscribe := map[string]string{"type": "subscribe", "channel": channel}
		if since := cmp.Or(c.positions[channel], c.Position); since != "" {
			subscribe["since"] = since
		}
		if err := conn.WriteJSON(subscribe); err != nil {
			return err
		}
	}
	for {
		_, text, err := conn.ReadMessage()
		if err != nil {
			return err
		}
		m, err := c.deliver(text)
		if err != nil {
			return err
		}
		switch m.Type {
		case "subscribed", "message":
			if c.positions == nil {
				c.positions = make(map[string]string)
			}
			c.positions[m.Channel] = m.ID
		case "bye":
			c.Reconnect = time.Duration(m.ReconnectAfterMS) * time.Millisecond
		}
	}
}

// request makes a request with more header fields than the client's own.
func (c *Client) request(ctx context.Context, method, path, body string, fields http.Header) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.Base+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if c.Header != nil {
		r.Header = c.Header.Clone()
	}
	maps.Copy(r.Header, fields)
	resp, err := cmp.Or(c.HTTP, http.DefaultClient).Do(r)
	if err == nil && resp.StatusCode >= 300 {
		defer resp.Body.Close()
		err = refusal(resp)
	}
	return resp, err
}

// Events opens an event stream, and reads until it or ctx ends.
func (c *Client) Events(ctx context.Context) error {
	fields := http.Header{"Accept": {"text/event-stream"}}
	if c.Position != "" {
		fields.Set("Last-Event-ID", c.Position)
	}
	resp, err := c.request(ctx, "GET", "/v1/sse?channels="+url.QueryEscape(strings.Join(c.Channels, ",")), "", fields)
	if err != nil {
		c.Reconnect = 0
		return err
	}
	defer resp.Body.Close()
	return c.ReadEvents(resp.Body)
}

// ReadEvents reads an event stream until it ends.
func (c *Client) ReadEvents(stream io.Reader) error {
	c.Reconnect = 0
	var data []byte
	next := ""
	for lines := bufio.NewReader(stream); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			return err
		}
		switch field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": "); field {
		case "retry":
			ms, err := strconv.Atoi(value)
			if err != nil {
				return err
			}
			c.Reconnect = time.Duration(ms) * time.Millisecond
		case "id":
			next = value
		case "data":
			data = []byte(value)
		case "": // the end of an event, with which its id counts too
			c.Position = cmp.Or(next, c.Position)
			if len(data) > 0 {
				_, err = c.deliver(data)
			} else if next != "" {
				err = c.Take(Message{ID: next})
			}
			if err != nil {
				return err
			}
			data, next = nil, ""
		}
	}
}

// anyType are the header fields that browsers' fetch adds.
var anyType = http.Header{"Accept": {"*/*"}}

// Poll makes one poll.
func (c *Client) Poll(ctx context.Context) error {
	var resp *http.Response
	var err error
	if c.Post {
		parameters := map[string]any{"channels": c.Channels, "cursor": c.Position, "wait": c.Wait}
		if c.Most > 0 {
			parameters["max"] = c.Most
		}
		body, _ := json.Marshal(parameters)
		resp, err = c.request(ctx, "POST", "/v1/poll", string(body), anyType)
	} else {
		resp, err = c.request(ctx, "GET", c.PollPath(), "", anyType)
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return c.ReadPoll(resp)
}

// PollPath returns the path of the next poll, with its parameters.
func (c *Client) PollPath() string {
	q := url.Values{"channels": {strings.Join(c.Channels, ",")}, "cursor": {c.Position}, "wait": {strconv.Itoa(c.Wait)}}
	if c.Most > 0 {
		q.Set("max", strconv.Itoa(c.Most))
	}
	return "/v1/poll?" + q.Encode()
}

// ReadPoll reads the answer to a poll.
func (c *Client) ReadPoll(resp *http.Response) error {
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode == http.StatusNoContent {
		c.Position = resp.Header.Get("Poll-Cursor")
		return nil
	}
	var answer struct {
		Cursor   string
		Messages []Message
		Gaps     []string
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return c.Take(Message{Type: "malformed", Data: text})
	}
	for _, channel := range answer.Gaps {
		if err := c.Take(Message{Type: "gap", Channel: channel}); err != nil {
			return err
		}
	}
	for _, m := range answer.Messages {
		if err := c.Take(m); err != nil {
			return err
		}
	}
	c.Position = answer.Cursor
	return nil
}
