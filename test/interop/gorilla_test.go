package interop

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

func TestGorilla(t *testing.T) {
	for name, d := range map[string]websocket.Dialer{
		"plain":              {},
		"offers compression": {EnableCompression: true},
		"small buffers":      {ReadBufferSize: 16, WriteBufferSize: 16},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			perform(t, func(ctx context.Context, url string, say func(string)) (report, error) {
				return playGorilla(ctx, &d, url, say)
			})
		})
	}
}

func playGorilla(ctx context.Context, d *websocket.Dialer, url string, say func(string)) (r report, err error) {
	dial := func() (*websocket.Conn, error) {
		c, _, err := d.DialContext(ctx, url, nil)
		if err != nil {
			return nil, err
		}
		end, _ := ctx.Deadline()
		c.SetReadDeadline(end)
		_, _, err = c.ReadMessage() // the welcome
		return c, err
	}
	subscribe := func(c *websocket.Conn) error {
		if err := c.WriteMessage(websocket.TextMessage, []byte(subscription)); err != nil {
			return err
		}
		_, _, err := c.ReadMessage()
		return err
	}
	// codeOf reads to the end of a connection, giving messages to take.
	codeOf := func(c *websocket.Conn, take func([]byte) error) (int, error) {
		for {
			_, text, err := c.ReadMessage()
			if ce := (*websocket.CloseError)(nil); errors.As(err, &ce) {
				return ce.Code, c.Close()
			}
			if err != nil {
				return 0, err
			}
			if err := take(text); err != nil {
				return 0, err
			}
		}
	}
	nothing := func(text []byte) error { return fmt.Errorf("got %.100s", text) }

	c, err := dial()
	if err != nil {
		return r, err
	}
	if err := subscribe(c); err != nil {
		return r, err
	}
	say("subscribed")
	for r.Received < messages {
		_, text, err := c.ReadMessage()
		if err != nil {
			return r, err
		}
		if err := r.take(text); err != nil {
			return r, err
		}
	}
	// The pong precedes the answer to the close.
	c.SetPongHandler(func(payload string) error { r.Pong = payload == "gorilla"; return nil })
	soon := time.Now().Add(patience)
	if err := c.WriteControl(websocket.PingMessage, []byte("gorilla"), soon); err != nil {
		return r, err
	}
	if err := c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(4321, "enough"), soon); err != nil {
		return r, err
	}
	if r.Closed, err = codeOf(c, nothing); err != nil {
		return r, err
	}

	if c, err = dial(); err != nil {
		return r, err
	}
	if err := c.WriteMessage(websocket.BinaryMessage, []byte{0}); err != nil {
		return r, err
	}
	if r.Refused, err = codeOf(c, r.leave); err != nil {
		return r, err
	}

	if c, err = dial(); err != nil {
		return r, err
	}
	if err := subscribe(c); err != nil {
		return r, err
	}
	say("waiting")
	r.Drained, err = codeOf(c, r.leave)
	return r, err
}
