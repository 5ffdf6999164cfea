package interop

import (
	"context"
	"net/http"
	"testing"

	"github.com/coder/websocket"
)

func TestCoder(t *testing.T) {
	for name, mode := range map[string]websocket.CompressionMode{
		"plain":              websocket.CompressionDisabled,
		"offers compression": websocket.CompressionContextTakeover,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			perform(t, func(ctx context.Context, url string, say func(string)) (report, error) {
				transport := &http.Transport{}
				defer transport.CloseIdleConnections()
				return playCoder(ctx, &websocket.DialOptions{
					HTTPClient:      &http.Client{Transport: transport},
					CompressionMode: mode,
				}, url, say)
			})
		})
	}
}

func playCoder(ctx context.Context, o *websocket.DialOptions, url string, say func(string)) (r report, err error) {
	dial := func() (*websocket.Conn, error) {
		c, _, err := websocket.Dial(ctx, url, o)
		if err != nil {
			return nil, err
		}
		c.SetReadLimit(1 << 20)
		_, _, err = c.Read(ctx) // the welcome
		return c, err
	}
	subscribe := func(c *websocket.Conn) error {
		if err := c.Write(ctx, websocket.MessageText, []byte(subscription)); err != nil {
			return err
		}
		_, _, err := c.Read(ctx)
		return err
	}
	codeOf := func(c *websocket.Conn, take func([]byte) error) (int, error) {
		for {
			_, text, err := c.Read(ctx)
			if code := websocket.CloseStatus(err); code >= 0 {
				return int(code), nil
			}
			if err != nil {
				return 0, err
			}
			if err := take(text); err != nil {
				return 0, err
			}
		}
	}

	c, err := dial()
	if err != nil {
		return r, err
	}
	if err := subscribe(c); err != nil {
		return r, err
	}
	say("subscribed")
	for r.Received < messages {
		_, text, err := c.Read(ctx)
		if err != nil {
			return r, err
		}
		if err := r.take(text); err != nil {
			return r, err
		}
	}
	// Ping returns once the pong to it is there, which has to be read; so does Close for the
	// answer to its frame, and fails for another code.
	reading := c.CloseRead(ctx)
	r.Pong = c.Ping(ctx) == nil
	if err := c.Close(4321, "enough"); err != nil {
		return r, err
	}
	<-reading.Done()
	r.Closed = 4321

	if c, err = dial(); err != nil {
		return r, err
	}
	if err := c.Write(ctx, websocket.MessageBinary, []byte{0}); err != nil {
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
