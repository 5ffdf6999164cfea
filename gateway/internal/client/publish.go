package client

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/publish"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// PublishShare is the divisor of limits.total_input_bytes for messages waiting for Redis.
const PublishShare = 4

// Publish hands a client's message to the publisher, if its channel's rule lets clients publish.
// done is called on the loop, if there is no error.
func (h *Hub) Publish(i uint32, pub *publish.Publication, done func(id string, err error)) *http1.Error {
	payload, err := pub.Check(min(h.Options.MessageBytes, h.Options.PayloadBytes))
	if err != nil {
		return err
	}
	rule := h.Options.Rules.Of(pub.Channel)
	if !h.Rights.mayPublish(i, pub.Channel, rule) {
		return &http1.Error{Status: 403, Code: CodeForbidden, Message: "publishing to this channel is not allowed"}
	}
	options, err := pub.Options(rule)
	if err != nil {
		return err
	}
	options.User = h.Rights.Subject(i)
	if options.IdempotencyKey != "" {
		options.IdempotencyKey = clientKey(options.User, options.IdempotencyKey, payload)
	}
	if err := fanout.CheckPayload(payload, options); err != nil {
		return reasons.BadRequest("%v", err)
	}
	if !h.Limits.Publish(i) || !h.Shared.publishes.Take(h.Options.TotalPublishRate, h.Limits.Uptime()) {
		h.HTTP.Refuse.Count(reasons.RejectPublishRate)
		return reasons.OverLimit[reasons.RejectPublishRate]
	}
	job := publish.Job{
		Channel: pub.Channel,
		Payload: bytes.Clone(payload),
		Options: options,
		By:      time.Now().Add(publish.Timeout),
	}
	held := job.Bytes()
	job.Done = func(id string, err error) {
		h.Post(func() {
			h.Shared.Publisher.Hold(-held) // only now: until here it was still held
			h.Stats.Published[publishResult(err)]++
			done(id, err)
		})
	}
	if !h.Shared.Publisher.Offer(job, int64(h.Options.TotalInputBytes)/PublishShare) {
		h.HTTP.Refuse.Count(reasons.RejectOverloaded)
		return &http1.Error{Status: 503, Code: reasons.CodeOverloaded, Message: "too many messages wait to be published"}
	}
	return nil
}

func publishResult(err error) reasons.Publish {
	if err != nil {
		return reasons.PublishFailed
	}
	return reasons.PublishOK
}

// clientKey returns the key under which a client's idempotency key is remembered. It includes the
// subject, so that no client can make a backend's message, or another's, pass for one already
// published. Clients without a subject can't be told apart, so theirs includes the payload too.
func clientKey(subject, key string, payload []byte) string {
	if subject == "" {
		sum := sha256.Sum256(payload)
		return fmt.Sprintf("client:0::%s:%x", key, sum[:16])
	}
	return fmt.Sprintf("client:%d:%s:%s", len(subject), subject, key)
}
