package interop

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// roamer is a client that does as docs/PROTOCOL.md says: it reconnects when a bye says so, else
// after a random time that doubles with each try in vain, and goes on at its position. The
// messages of its channel are numbered.
type roamer struct {
	// Immutable
	transport string // ws, sse or poll
	front     string // host:port, over TLS
	dialer    *websocket.Dialer
	http      *http.Client

	// Owned by run
	position string
	attempt  int

	// Guarded by mu
	mu      sync.Mutex
	here    bool
	left    time.Time // when it was here last
	away    []time.Duration
	next    int            // number of the next message
	wrong   string         // the first thing that must not happen
	refused map[string]int // why tries were in vain
}

// newRoamer returns a client with connections of its own, from an address that no proxy has.
// Message 0 was published before.
func newRoamer(transport, front string, config *tls.Config) *roamer {
	from := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}
	return &roamer{
		transport: transport, front: front, refused: make(map[string]int), next: 1,
		dialer: &websocket.Dialer{NetDialContext: from.DialContext, TLSClientConfig: config, HandshakeTimeout: patience, ReadBufferSize: 1024, WriteBufferSize: 256},
		// Browsers speak HTTP/2 for all but WebSockets.
		http: &http.Client{Transport: &http.Transport{DialContext: from.DialContext, TLSClientConfig: config.Clone(), ForceAttemptHTTP2: true}},
	}
}

// run keeps the client connected until ctx ends.
func (r *roamer) run(ctx context.Context) {
	defer r.http.CloseIdleConnections()
	visit := map[string]func(context.Context) (time.Duration, error){"ws": r.websocket, "sse": r.events, "poll": r.poll}[r.transport]
	for ctx.Err() == nil {
		after, err := visit(ctx)
		if ctx.Err() != nil {
			return
		}
		r.gone(err)
		if after == 0 {
			after = time.Duration(rand.Int64N(int64(min(30*time.Second, 500*time.Millisecond<<r.attempt))))
			r.attempt++
		}
		select {
		case <-ctx.Done():
		case <-time.After(after):
		}
	}
}

// arrived notes that the client is served.
func (r *roamer) arrived() {
	r.attempt = 0
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.left.IsZero() {
		r.away = append(r.away, time.Since(r.left))
		r.left = time.Time{}
	}
	r.here = true
}

// gone notes that the client isn't served any more, or that it tried in vain.
func (r *roamer) gone(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.here {
		r.refused[err.Error()]++
	}
	if r.here {
		r.left = time.Now()
	}
	r.here = false
}

// take notes a message of the gateway, and returns when a bye wants it back.
func (r *roamer) take(text []byte) (after time.Duration, bye bool) {
	var e struct {
		Type, ID string
		Data     struct{ N int }
		After    int64 `json:"reconnect_after_ms"`
	}
	err := json.Unmarshal(text, &e)
	switch {
	case err != nil:
		r.fault("%v: %.200s", err, text)
	case e.Type == "bye":
		return time.Duration(e.After) * time.Millisecond, true
	case e.Type == "subscribed":
		if r.position == "" {
			r.position = e.ID
		}
		r.arrived()
	case e.Type == "message":
		r.position = e.ID
		r.mu.Lock()
		want := r.next
		r.next = e.Data.N + 1
		r.mu.Unlock()
		if e.Data.N != want {
			r.fault("message %d in place of %d", e.Data.N, want)
		}
	case e.Type == "gap" || e.Type == "error":
		r.fault("%.200s", text)
	}
	return 0, false
}

func (r *roamer) fault(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.wrong == "" {
		r.wrong = fmt.Sprintf(format, args...)
	}
}

func (r *roamer) websocket(ctx context.Context) (after time.Duration, err error) {
	c, answer, err := r.dialer.DialContext(ctx, "wss://"+r.front+"/v1/ws", nil)
	if answer != nil && err != nil {
		err = errors.New(answer.Status)
	}
	if err != nil {
		return 0, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	if err := c.WriteJSON(struct {
		Type    string `json:"type"`
		Channel string `json:"channel"`
		Since   string `json:"since,omitempty"`
	}{"subscribe", channel, r.position}); err != nil {
		return 0, err
	}
	for {
		_, text, err := c.ReadMessage()
		if err != nil {
			return after, err
		}
		if wait, bye := r.take(text); bye {
			after = wait
		}
	}
}

func (r *roamer) events(ctx context.Context) (after time.Duration, err error) {
	answer, err := r.request(ctx, "GET", "/v1/sse?channels="+channel+"&cursor="+r.position, nil)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		// As an EventSource, which knows nothing else.
		if ms, ok := strings.CutPrefix(lines.Text(), "retry: "); ok {
			n, err := strconv.Atoi(ms)
			if err != nil {
				return 0, err
			}
			after = time.Duration(n) * time.Millisecond
		}
		text, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
		if !ok {
			continue
		}
		if wait, bye := r.take(text); bye && wait != after {
			r.fault("a bye says %v, retry %v", wait, after)
		}
	}
	return after, errors.New("the stream ended")
}

// poll asks until an answer fails.
func (r *roamer) poll(ctx context.Context) (after time.Duration, err error) {
	for {
		body, _ := json.Marshal(map[string]any{"channels": []string{channel}, "cursor": r.position, "wait": 5})
		answer, err := r.request(ctx, "POST", "/v1/poll", body)
		if err != nil {
			return 0, err
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil {
			return 0, err
		}
		r.arrived()
		if answer.StatusCode == http.StatusNoContent {
			r.position = answer.Header.Get("Poll-Cursor")
			continue
		}
		var page struct {
			Cursor   string
			Messages []json.RawMessage
			Gaps     []string
		}
		if err := json.Unmarshal(text, &page); err != nil || len(page.Gaps) > 0 {
			r.fault("%v: %.200s", err, text)
		}
		for _, m := range page.Messages {
			r.take(m)
		}
		r.position = page.Cursor
	}
}

// request returns an answer that is none of a refusal.
func (r *roamer) request(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	q, err := http.NewRequestWithContext(ctx, method, "https://"+r.front+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if path, _, _ := strings.Cut(path, "?"); path == "/v1/sse" {
		q.Header.Set("Accept", "text/event-stream")
	}
	answer, err := r.http.Do(q)
	if err != nil {
		return nil, errors.New("no answer")
	}
	if answer.StatusCode >= 300 {
		text, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		return nil, errors.New(strings.TrimSpace(fmt.Sprintf("%s %.100s", answer.Status, text)))
	}
	return answer, nil
}
