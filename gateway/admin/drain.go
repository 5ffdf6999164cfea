package admin

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/pushgate/pushgate/gateway/jsontext"
)

// Drainer sends clients of this gateway away.
type Drainer interface {
	// Drain begins the shutdown and returns how many connections there are.
	Drain() (connections int64)
	// Shed asks a fraction of the clients to reconnect, spread over a time.
	// Its *Error says what else sends clients away at present.
	Shed(fraction float64, over time.Duration) (connections int64, err error)
}

// Bounds of the time over which clients are sent away.
const (
	defaultOver = 30 * time.Second
	LongestOver = time.Hour
)

// shedding is the body of POST /v1/drain.
type shedding struct {
	Fraction *float64 `json:"fraction"`
	Over     string   `json:"over"` // a duration
}

type drainCall struct{ drainer Drainer }

// drain answers POST /v1/drain. Without a body it shuts the gateway down as
// SIGTERM does; with a fraction it asks that many of the clients to reconnect,
// and goes on.
func (c drainCall) drain(w http.ResponseWriter, r *http.Request) error {
	// A fraction in the wrong place must not become a shutdown.
	if _, err := query(r); err != nil {
		return err
	}
	var q shedding
	empty, err := readSmall(w, r, &q)
	if err != nil {
		return err
	}
	if empty {
		answer(w, http.StatusAccepted, map[string]any{"connections": c.drainer.Drain(), "draining": true})
		return nil
	}
	if q.Fraction == nil || *q.Fraction <= 0 || *q.Fraction > 1 {
		return badRequest("fraction is a number over 0, up to 1")
	}
	over, err := overOf(q.Over)
	if err != nil {
		return err
	}
	n, err := c.drainer.Shed(*q.Fraction, over)
	if err != nil {
		return err
	}
	answer(w, http.StatusAccepted, map[string]any{"connections": n, "fraction": *q.Fraction})
	return nil
}

// readSmall reads a body of one JSON object into v, and reports whether there
// was none.
func readSmall(w http.ResponseWriter, r *http.Request, v any) (empty bool, err error) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 4096))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return false, &Error{http.StatusRequestEntityTooLarge, codeTooLarge, "the body is larger than 4 KiB"}
	case err != nil:
		return false, badRequest("the body could not be read: %v", err)
	case len(bytes.TrimSpace(text)) == 0:
		return true, nil
	}
	if err := jsontext.Decode(text, v); err != nil {
		return false, badRequest("the body is a JSON object: %v", err)
	}
	return false, nil
}

// overOf reads a time over which clients are sent away.
func overOf(text string) (time.Duration, error) {
	if text == "" {
		return defaultOver, nil
	}
	over, err := time.ParseDuration(text)
	if err != nil || over < 0 || over > LongestOver {
		return 0, badRequest("over is a duration up to 1h")
	}
	return over, nil
}
