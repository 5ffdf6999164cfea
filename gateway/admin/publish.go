package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/pushgate/pushgate/gateway/jsontext"
)

// Bounds of a request to publish.
const (
	maxBatch     = 1000
	maxBodyBytes = 8 << 20
	bodyTimeout  = 30 * time.Second
)

// Publisher publishes messages.
type Publisher interface {
	// Publish publishes messages, each a JSON object as docs/PUBLISH.md
	// describes it, and returns the result of each; messages of one channel are
	// published in their order. It is called on the goroutine of the request
	// and returns when all is done or ctx ends.
	Publish(ctx context.Context, messages []json.RawMessage) []Published
}

// Published is the result of publishing a message.
type Published struct {
	Channel string
	ID      string // empty for a plain message
	Err     *Error // nil when it was published
}

// MarshalJSON writes {"channel","id"} or {"channel","error"}.
func (p Published) MarshalJSON() ([]byte, error) {
	if p.Err != nil {
		return json.Marshal(struct {
			Channel string `json:"channel"`
			Error   *Error `json:"error"`
		}{p.Channel, p.Err})
	}
	return json.Marshal(struct {
		Channel string `json:"channel"`
		ID      string `json:"id"`
	}{p.Channel, p.ID})
}

type publishCall struct{ publisher Publisher }

// publish serves POST /v1/publish: one message, or a batch, whose response holds
// a result for each.
func (c publishCall) publish(r request) (any, error) {
	body, err := readMessages(r)
	if err != nil {
		return nil, err
	}
	messages, single, err := split(body)
	if err != nil {
		return nil, err
	}
	results := c.publisher.Publish(r.Context(), messages)
	if single {
		if err := results[0].Err; err != nil {
			return nil, err
		}
		return results[0], nil
	}
	batch := batchResponse{Error: whollyFailed(results), Results: results}
	if batch.Error != nil {
		return response{batch.Error.Status, batch}, nil
	}
	return batch, nil
}

// batchResponse is the response to a batch.
type batchResponse struct {
	Error   *Error      `json:"error,omitempty"`
	Results []Published `json:"results"`
}

// whollyFailed returns the error of a batch of which Redis took nothing: it must
// show in the status. Otherwise each message has its own result.
func whollyFailed(results []Published) *Error {
	for _, p := range results {
		if p.Err == nil || p.Err.Status < 500 {
			return nil
		}
	}
	return results[0].Err
}

// readMessages returns the whole body.
func readMessages(r request) ([]byte, error) {
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return nil, &Error{http.StatusUnsupportedMediaType, codeMediaType, "the body is JSON without Content-Encoding"}
	}
	// Only a server that is not net/http's can't set the deadline.
	_ = http.NewResponseController(r.w).SetReadDeadline(time.Now().Add(bodyTimeout))
	body, err := io.ReadAll(http.MaxBytesReader(r.w, r.Body, maxBodyBytes))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, tooLarge("the body is larger than 8 MiB")
	case err != nil:
		return nil, badRequest("the body could not be read: %v", err)
	}
	_ = http.NewResponseController(r.w).SetReadDeadline(time.Time{})
	return body, nil
}

// split returns the messages of a body: an object that is one message, an
// object {"messages":[…]}, or an array of messages.
func split(body []byte) (messages []json.RawMessage, single bool, err error) {
	body = bytes.TrimLeft(body, " \t\r\n")
	if len(body) == 0 {
		return nil, false, badRequest("the body is empty, want a JSON object")
	}
	if body[0] == '[' {
		if err := json.Unmarshal(body, &messages); err != nil {
			return nil, false, badRequest("the body is not JSON: %v", jsontext.Explain(err))
		}
		return messages, false, checkCount(len(messages))
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return nil, false, badRequest("the body is a JSON object, or an array of them: %v", jsontext.Explain(err))
	}
	list, isBatch := fields["messages"]
	switch {
	case !isBatch:
		return []json.RawMessage{body}, true, nil
	case len(fields) > 1:
		return nil, false, badRequest("nothing may stand beside messages: each message has its own fields")
	}
	if err := json.Unmarshal(list, &messages); err != nil {
		return nil, false, badRequest("messages is an array: %v", jsontext.Explain(err))
	}
	return messages, false, checkCount(len(messages))
}

func checkCount(n int) error {
	switch {
	case n == 0:
		return badRequest("the batch is empty")
	case n > maxBatch:
		return tooLarge("a batch may have 1000 messages")
	}
	return nil
}
