package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/gateway/admin"
	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/publish"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/gateway/jsontext"
)

// operator implements the admin API. Its methods are called on goroutines of requests.
type operator struct{ srv *Server }

// Bounds of a slice of the operator's work on a shard between events.
const (
	sliceTime = 2 * time.Millisecond
	// askTimeout is the time a loop may take to start on a slice.
	askTimeout = 5 * time.Second
)

// ask runs fn on a shard's loop and returns the result. Long work is split into slices, so that
// clients wait for one slice only.
func ask[T any](ctx context.Context, s *shard, fn func() T) (T, error) {
	var none T
	answer := make(chan T, 1) // sent to once by the loop
	if !s.conns.Loop().Post(func() { answer <- fn() }) {
		return none, errLoopStalled
	}
	stalled := time.NewTimer(askTimeout)
	defer stalled.Stop()
	select {
	case v := <-answer:
		return v, nil
	case <-ctx.Done():
		return none, ctx.Err()
	case <-stalled.C:
		return none, errLoopStalled
	}
}

// slice measures the duration of a piece of work. The clock is read only after some units of work,
// each of them some tens of nanoseconds.
type slice struct {
	start time.Time
	units int
}

func newSlice() slice { return slice{start: time.Now()} }

// over counts units of work done, and reports whether the slice is used up.
func (s *slice) over(units int) bool {
	if s.units += units; s.units < 128 {
		return false
	}
	s.units = 0
	return time.Since(s.start) >= sliceTime
}

// Publish publishes messages of the operator or a backend: the rules decide how they are kept, but
// not who may publish.
func (o operator) Publish(ctx context.Context, messages []json.RawMessage) []admin.Published {
	ctx, cancel := context.WithTimeout(ctx, publish.Timeout)
	defer cancel()
	results := make([]admin.Published, len(messages))
	batch := make([]fanout.Publication, 0, len(messages))
	places := make([]int, 0, len(messages)) // of batch in results
	for i, text := range messages {
		var pub operatorPublication
		p, err := o.prepare(&pub, text)
		results[i].Channel = pub.Channel
		if err != nil {
			results[i].Err = adminError(err)
			continue
		}
		batch, places = append(batch, p), append(places, i)
	}
	for k, done := range o.srv.broker.PublishBatch(ctx, batch) {
		r := &results[places[k]]
		switch {
		case errors.Is(done.Err, fanout.ErrMarked):
			r.Err = &admin.Error{Status: 400, Code: reasons.CodeBadRequest, Message: done.Err.Error()}
		case done.Err != nil:
			r.Err = &admin.Error{Status: 503, Code: publish.CodeBroker, Message: "the message may not have been published: " + done.Err.Error()}
		default:
			r.ID = done.ID
		}
	}
	return results
}

// operatorPublication is a publication of the operator or a backend, which may name the user it
// publishes for. A client's user is its token's subject, or its certificate's.
type operatorPublication struct {
	publish.Publication
	User string `json:"user"`
}

// prepare parses one message. A misspelled field name is an error: it must not turn a durable
// message into a plain one.
func (o operator) prepare(pub *operatorPublication, text json.RawMessage) (p fanout.Publication, _ *http1.Error) {
	if err := jsontext.Decode(text, pub); err != nil {
		return p, reasons.BadRequest("a message is a JSON object with channel, data and more: %v", err)
	}
	cfg := o.srv.live.Load()
	payload, err := pub.Check(cfg.clients.PayloadBytes) // larger ones reach no client
	if err != nil {
		return p, err
	}
	options, err := pub.Options(cfg.clients.Rules.Of(pub.Channel))
	options.User = pub.User
	return fanout.Publication{Channel: pub.Channel, Payload: payload, Options: options}, err
}

func adminError(err *http1.Error) *admin.Error {
	return &admin.Error{Status: err.Status, Code: err.Code, Message: err.Message}
}

func adminBadRequest(format string, args ...any) error {
	return &admin.Error{Status: 400, Code: reasons.CodeBadRequest, Message: fmt.Sprintf(format, args...)}
}
