package interop

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pushgate/pushgate/internal/gatewaytest"
)

// roamer is a client that does as docs/PROTOCOL.md says: it reconnects when a bye says so, else
// after a random time that doubles with each try in vain, and goes on at its position. The
// messages of its channel are numbered.
type roamer struct {
	// Immutable
	transport string // ws, sse or poll

	// Owned by run
	client  gatewaytest.Client
	attempt int

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
	r := &roamer{transport: transport, refused: make(map[string]int), next: 1}
	r.client = gatewaytest.Client{
		Base: "https://" + front, Channels: []string{channel}, Post: true, Wait: 5, Take: r.take,
		Dialer: &websocket.Dialer{NetDialContext: from.DialContext, TLSClientConfig: config, HandshakeTimeout: patience, ReadBufferSize: 1024, WriteBufferSize: 256},
		// Browsers speak HTTP/2 for all but WebSockets.
		HTTP: &http.Client{Transport: &http.Transport{DialContext: from.DialContext, TLSClientConfig: config.Clone(), ForceAttemptHTTP2: true}},
	}
	return r
}

// run keeps the client connected until ctx ends.
func (r *roamer) run(ctx context.Context) {
	defer r.client.HTTP.CloseIdleConnections()
	visit := map[string]func(context.Context) error{"ws": r.client.WebSocket, "sse": r.client.Events, "poll": r.poll}[r.transport]
	for ctx.Err() == nil {
		err := visit(ctx)
		if ctx.Err() != nil {
			return
		}
		r.gone(err)
		after := r.client.Reconnect
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
	if r.here {
		r.left = time.Now()
		r.here = false
		return
	}
	why := "no answer"
	if refused := (*gatewaytest.Refusal)(nil); errors.As(err, &refused) {
		why = err.Error()
	}
	r.refused[why]++
}

// take notes a message of the gateway.
func (r *roamer) take(m gatewaytest.Message) error {
	switch m.Type {
	case "bye":
		// An EventSource knows nothing else than retry.
		if told := time.Duration(m.ReconnectAfterMS) * time.Millisecond; r.transport == "sse" && told != r.client.Reconnect {
			r.fault("a bye says %v, retry %v", told, r.client.Reconnect)
		}
	case "subscribed":
		r.arrived()
	case "message":
		var data struct{ N int }
		if err := json.Unmarshal(m.Data, &data); err != nil {
			r.fault("%v: %.200s", err, m.Data)
		}
		r.mu.Lock()
		want := r.next
		r.next = data.N + 1
		r.mu.Unlock()
		if data.N != want {
			r.fault("message %d in place of %d", data.N, want)
		}
	case "gap", "error", "malformed":
		r.fault("%+v", m)
	}
	return nil
}

func (r *roamer) fault(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.wrong == "" {
		r.wrong = fmt.Sprintf(format, args...)
	}
}

// poll asks until an answer fails.
func (r *roamer) poll(ctx context.Context) error {
	for {
		if err := r.client.Poll(ctx); err != nil {
			return err
		}
		r.arrived()
	}
}
