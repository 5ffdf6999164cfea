package torture

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pushgate/pushgate/internal/gatewaytest"
)

// webSocket is a WebSocket that subscribes by messages.
func (w *witness) webSocket(ctx context.Context) {
	w.client.Dialer = &websocket.Dialer{HandshakeTimeout: patience}
	w.connections(ctx, w.client.WebSocket)
}

// events is an event stream, which reconnects with the last id: line.
func (w *witness) events(ctx context.Context) {
	w.stream = true
	w.client.HTTP = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	w.connections(ctx, w.client.Events)
}

// connections makes one connection after the other.
func (w *witness) connections(ctx context.Context, connect func(context.Context) error) {
	for ; ctx.Err() == nil; w.await(ctx) {
		w.journal.note("connects, after %q", w.client.Position)
		w.back()
		w.waits = len(w.books)
		w.failed(connect(ctx))
	}
}

// polls asks again and again with the last answer's cursor.
func (w *witness) polls(ctx context.Context) {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	w.client.HTTP, w.client.Most = &http.Client{Transport: transport, Timeout: patience}, 20
	for ctx.Err() == nil {
		w.client.Post = len(w.books) > 1 && w.random.IntN(2) == 1
		begun := time.Now()
		if err := w.client.Poll(ctx); err != nil {
			w.failed(err)
			w.await(ctx)
			continue
		}
		w.journal.note("an answer after %v", time.Since(begun).Round(time.Millisecond))
		w.isPlaced()
		w.client.Wait = 2
	}
}

// failed judges the end of a connection, or of a poll: it may be refused for a while.
func (w *witness) failed(err error) {
	w.journal.note("%v", err)
	if refused := (*gatewaytest.Refusal)(nil); errors.As(err, &refused) && !slices.Contains([]int{408, 429, 503}, refused.Status) {
		w.fault("the witness %s is refused: %v", w.name, err)
	}
}

// take judges a message of the gateway.
func (w *witness) take(m gatewaytest.Message) error {
	switch m.Type {
	case "subscribed":
		w.waits--
	case "message":
		w.message(m.Channel, m.Data)
	case "gap":
		w.gapped(m.Channel, m.Reason)
	case "bye":
		w.journal.note("bye %s", m.Reason)
	case "error":
		return errors.New(m.Code) // it reconnects and subscribes again
	case "malformed":
		w.fault("the witness %s got %q", w.name, m.Data)
	}
	if w.waits == 0 && (!w.stream || w.client.Position != "") {
		w.isPlaced()
	}
	return nil
}
