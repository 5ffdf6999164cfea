package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pushgate/pushgate/fanout/message"
)

// resumer is a client that connects, disconnects and remembers its position.
type resumer struct {
	*round
	number int
	rng    *rand.Rand
	lines  []string // its log

	next   map[string]int            // the next number of each channel
	got    map[string]map[int]string // the ids of all numbers
	at     map[string]string         // the last id of each channel
	begin  string                    // the cursor that it arrived with
	cursor string                    // of the last poll, while nothing else was received since
	behind bool                      // the cursor lags, because the client returned to a bare id
	event  string                    // Last-Event-ID after an event stream
	url    string                    // and to where

	// Of the present visit:

	repeats bool            // messages may be seen again
	gapped  map[string]bool // plain messages of the channel may be missing, and others be seen again
}

func newResumer(r *round, number int) *resumer {
	c := &resumer{
		round:  r,
		number: number,
		rng:    rand.New(rand.NewPCG(r.seed, 1+uint64(number))),
		next:   make(map[string]int),
		got:    make(map[string]map[int]string),
		at:     make(map[string]string),
	}
	for _, channel := range r.channels {
		c.next[channel], c.got[channel] = 0, make(map[int]string)
		if !r.plain && !r.unused {
			c.at[channel] = "0-0"
		}
	}
	return c
}

func (c *resumer) log(format string, args ...any) {
	c.lines = append(c.lines, time.Now().Format("05.000 ")+fmt.Sprintf(format, args...))
}

// arrive takes a position before there is anything.
func (c *resumer) arrive(context.Context) {
	c.begin = c.node(c.rng).poll(nil, "wait=0&channels="+strings.Join(c.channels, ",")).Cursor
	c.cursor = c.begin
}

// take notes a message.
func (c *resumer) take(e event) error {
	var data struct{ N int }
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return broken("data %q: %v", e.Data, err)
	}
	n := data.N
	got := c.got[e.Channel]
	if got == nil {
		return broken("got a message of %q", e.Channel)
	}
	switch next := c.next[e.Channel]; {
	case n < next:
		if !c.repeats && !c.gapped[e.Channel] {
			return broken("%s: got %d (%s) again, %d is next", e.Channel, n, e.ID, next)
		}
		if id, ok := got[n]; ok && id != e.ID {
			return broken("%s: got %d as %s and as %s", e.Channel, n, id, e.ID)
		}
		return nil
	case n > next+1 || n > next && !(c.gapped[e.Channel] && c.isPlain(next)):
		return broken("%s: got %d (%s), %d is missing", e.Channel, n, e.ID, next)
	}
	got[n] = e.ID
	c.next[e.Channel] = n + 1
	c.at[e.Channel] = e.ID
	return nil
}

// gap notes that messages of a channel are lost.
func (c *resumer) gap(channel, reason string) error {
	if !c.gaps {
		return broken("%s: gap %s at %d", channel, reason, c.next[channel])
	}
	c.gapped[channel] = true
	return nil
}

// visit connects, takes some messages and breaks off.
func (c *resumer) visit(ctx context.Context) error {
	c.repeats, c.gapped = false, make(map[string]bool)
	switch c.rng.IntN(3) {
	case 0:
		return c.visitEvents(ctx)
	case 1:
		c.event = ""
		return c.visitWebSocket(ctx)
	}
	c.event = ""
	return c.visitPoll(ctx)
}

// bare returns a position that isn't a poll's cursor, if there is one for all
// channels.
func (c *resumer) bare() (position string, ok bool) {
	if len(c.channels) == 1 {
		if c.at[c.channels[0]] == "" {
			return c.begin, true
		}
		return c.at[c.channels[0]], true
	}
	if len(c.at) < len(c.channels) {
		return "", false
	}
	position = earliest(c.at)
	return position, position != ""
}

// position returns the position of a client that can send only one, and notes its effect on this
// visit.
func (c *resumer) position() (string, bool) {
	c.repeats = false
	if c.cursor != "" && c.rng.IntN(3) > 0 {
		c.repeats = c.behind
		return c.cursor, true
	}
	if bare, ok := c.bare(); ok {
		c.repeats = len(c.channels) > 1
		return bare, true
	}
	c.repeats = c.behind
	return c.cursor, c.cursor != ""
}

// setCursor notes the cursor of a poll.
func (c *resumer) setCursor(text string) error {
	cursor, err := message.ParseCursor(text)
	if err != nil {
		return broken("%v", err)
	}
	c.cursor, c.behind = text, false
	for channel, id := range c.at {
		seen, _ := message.ParsePosition(id)
		at, ok := cursor.Plain(channel)
		if seen.Durable() {
			at, ok = cursor.Durable(channel)
		}
		if !ok || at.Less(seen) {
			c.behind = c.repeats
		}
	}
	return nil
}

// breakConn is a connection that breaks after so many bytes, in the midst of
// whatever they are.
type breakConn struct {
	net.Conn
	left   int
	abrupt bool
}

var errBroke = errors.New("broke off")

func (c *breakConn) Read(p []byte) (int, error) {
	if c.left == 0 {
		c.Close()
		return 0, errBroke
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

func (c *breakConn) Close() error {
	if c.abrupt {
		reset(c.Conn)
	}
	return c.Conn.Close()
}

func (c *resumer) dial() (net.Conn, error) { return c.dialer()() }

// dialer chooses where to connect, and how the connection ends.
func (c *resumer) dialer() func() (net.Conn, error) {
	addr := c.node(c.rng).Addr()
	b := breakConn{left: 1 << 30, abrupt: c.rng.IntN(2) == 0}
	if c.rng.IntN(2) == 0 {
		b.left = 1 + c.rng.IntN(8000)
	}
	return func() (net.Conn, error) {
		conn, err := dialer.Dial("tcp", addr)
		if err != nil {
			return nil, err
		}
		conn.SetDeadline(time.Now().Add(patience))
		b := b
		b.Conn = conn
		return &b, nil
	}
}

// messages is after how many it breaks off by itself.
func (c *resumer) messages() int { return 1 + c.rng.IntN(60) }

// silence is how long it waits for the next one.
func (c *resumer) silence() time.Time {
	return time.Now().Add(time.Duration(1+c.rng.IntN(50)) * time.Millisecond)
}

func (c *resumer) visitWebSocket(ctx context.Context) error {
	query, since := "", map[string]string{}
	if p, ok := c.position(); ok && c.rng.IntN(2) == 0 {
		query = "?channels=" + strings.Join(c.channels, ",") + "&cursor=" + url.QueryEscape(p)
	} else {
		c.repeats = false
		for _, channel := range c.channels {
			if since[channel] = c.at[channel]; since[channel] == "" {
				since[channel] = c.begin
			}
			if c.cursor != "" && !c.behind && c.rng.IntN(2) == 0 {
				since[channel] = c.cursor
			}
		}
	}
	c.log("websocket %s %v", query, since)
	conn, err := c.dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	ws, _, err := (&websocket.Dialer{NetDial: func(string, string) (net.Conn, error) { return conn, nil }}).DialContext(ctx, "ws://gateway/v1/ws"+query, nil)
	if err != nil {
		return err
	}
	for channel, position := range since {
		if err := ws.WriteJSON(map[string]string{"type": "subscribe", "channel": channel, "since": position}); err != nil {
			return err
		}
	}
	subscribed := map[string]bool{}
	for left := c.messages(); left > 0 && !c.done(c.next); {
		ws.SetReadDeadline(c.silence())
		var e event
		if err := ws.ReadJSON(&e); err != nil {
			return err
		}
		switch e.Type {
		case "welcome", "bye":
		case "subscribed":
			subscribed[e.Channel] = true
		case "message":
			left--
			c.cursor = ""
			if !subscribed[e.Channel] {
				return broken("a message of %s before it is subscribed", e.Channel)
			}
			if err := c.take(e); err != nil {
				return err
			}
		case "gap":
			c.cursor = ""
			if err := c.gap(e.Channel, e.Reason); err != nil {
				return err
			}
		default:
			return broken("got %+v", e)
		}
	}
	if c.rng.IntN(2) == 0 {
		ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""), time.Now().Add(patience))
	}
	return nil
}

// eventsRequest returns a path and a position. An EventSource reconnects to its original URL,
// cursor included, and adds its last id.
func (c *resumer) eventsRequest() (path, lastID string, ok bool) {
	several := len(c.channels) > 1
	if c.event != "" && c.rng.IntN(2) == 0 {
		c.repeats = several
		return c.url, c.event, true
	}
	p, ok := c.position()
	if !ok {
		return "", "", false
	}
	path = "/v1/sse?channels=" + strings.Join(c.channels, ",")
	if c.rng.IntN(2) == 0 {
		return path + "&cursor=" + url.QueryEscape(p), "", true
	}
	return path, p, true
}

func (c *resumer) visitEvents(context.Context) error {
	path, lastID, ok := c.eventsRequest()
	if !ok {
		return nil
	}
	c.log("events %s %s", path, lastID)
	conn, err := c.dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	head := "GET " + path + " HTTP/1.1\r\nHost: gateway\r\n"
	if lastID != "" {
		head += "Last-Event-ID: " + lastID + "\r\n"
	}
	if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
		return err
	}
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode == 503 {
		return errors.New(resp.Status)
	}
	if resp.StatusCode != 200 {
		return broken("events: %s", resp.Status)
	}
	c.url, c.event = path, lastID
	lines := bufio.NewReader(resp.Body)
	for left := c.messages(); left > 0 && !c.done(c.next); {
		conn.SetReadDeadline(c.silence())
		id, e, err := readEvent(lines)
		if err != nil {
			return err
		}
		if id != "" {
			c.event = id
		}
		switch e.Type {
		case "", "bye", "subscribed":
		case "message":
			left--
			c.cursor = ""
			if id != "" && id != e.ID {
				return broken("the event %s has the message %s", id, e.ID)
			}
			if err := c.take(e); err != nil {
				return err
			}
		case "gap":
			c.cursor = ""
			if err := c.gap(e.Channel, e.Reason); err != nil {
				return err
			}
		default:
			return broken("got %+v", e)
		}
	}
	return nil
}

// readEvent reads up to an empty line; the event is empty where there is no
// data.
func readEvent(r *bufio.Reader) (id string, e event, err error) {
	data := ""
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return "", e, err
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch field {
		case "id":
			id = value
		case "data":
			data += value
		case "":
			if data != "" {
				if err := json.Unmarshal([]byte(data), &e); err != nil {
					return "", e, broken("data %q: %v", data, err)
				}
			}
			return id, e, nil
		}
	}
}

// visitPoll makes some polls on one connection, or on one after the other.
func (c *resumer) visitPoll(ctx context.Context) error {
	dial := c.dialer()
	transport := &http.Transport{
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return dial() },
		DisableKeepAlives: c.rng.IntN(3) == 0,
	}
	defer transport.CloseIdleConnections()
	for range 1 + c.rng.IntN(6) {
		p, ok := c.position()
		if !ok || c.done(c.next) {
			return nil
		}
		if err := c.poll(ctx, transport, p); err != nil {
			return err
		}
	}
	return nil
}

func (c *resumer) poll(ctx context.Context, transport http.RoundTripper, position string) error {
	limit := 1 + c.rng.IntN(5)
	if c.rng.IntN(2) == 0 {
		limit = 20 + c.rng.IntN(900)
	}
	if c.rng.IntN(3) == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, c.silence())
		defer cancel()
	}
	req, _ := http.NewRequestWithContext(ctx, "GET", fmt.Sprintf("http://gateway/v1/poll?channels=%s&cursor=%s&max=%d&wait=%d",
		strings.Join(c.channels, ","), url.QueryEscape(position), limit, c.rng.IntN(2)), nil)
	if c.rng.IntN(2) == 0 {
		body, _ := json.Marshal(map[string]any{"channels": c.channels, "cursor": position, "max": limit, "wait": c.rng.Float64() / 4})
		req, _ = http.NewRequestWithContext(ctx, "POST", "http://gateway/v1/poll", strings.NewReader(string(body)))
		if c.rng.IntN(2) == 0 {
			req.ContentLength = -1 // chunked
		}
	}
	c.log("poll %s %s max %d", req.Method, position, limit)
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	var p polled
	switch resp.StatusCode {
	case 503:
		return errors.New(resp.Status)
	case 204:
		p.Cursor = resp.Header.Get("Poll-Cursor")
	case 200:
		if err := json.Unmarshal(body, &p); err != nil {
			return broken("%v: %s", err, body)
		}
	default:
		return broken("%s: %s", resp.Status, body)
	}
	if p.Cursor == position && !message.IsCursor(position) {
		// No channel had begun: the client is where it was, at an id.
		if len(p.Messages) > 0 || len(p.Gaps) > 0 {
			return broken("%d messages and gaps %v, and yet the cursor %s", len(p.Messages), p.Gaps, p.Cursor)
		}
		c.log("nothing yet")
		return nil
	}
	return c.takePoll(p, limit)
}

func (c *resumer) takePoll(p polled, limit int) error {
	c.log("%d messages, more %v, gaps %v, cursor %s", len(p.Messages), p.More, p.Gaps, p.Cursor)
	if len(p.Messages) > limit || p.Cursor == "" {
		return broken("%d messages, the limit is %d; cursor %q", len(p.Messages), limit, p.Cursor)
	}
	for _, channel := range p.Gaps {
		if err := c.gap(channel, "in a poll"); err != nil {
			return err
		}
	}
	for _, text := range p.Messages {
		var e event
		if err := json.Unmarshal(text, &e); err != nil {
			return broken("%v: %s", err, text)
		}
		if err := c.take(e); err != nil {
			return err
		}
	}
	clear(c.gapped)
	return c.setCursor(p.Cursor)
}
