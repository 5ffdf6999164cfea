package gateway

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/gateway/jsontext"
)

// Error codes of refused publications.
const (
	codeOverloaded = "overloaded"
	codeBroker     = "broker_unavailable"
	codeTooLarge   = "too_large"
)

// commandPublish handles a client's publish over a WebSocket.
func (s *shard) commandPublish(i uint32, c *client, cmd *command) {
	pub := publication{Channel: cmd.Channel, Data: json.RawMessage(cmd.Data)}
	key, channel, ref := s.conns.Key(i), cmd.Channel, cmd.Ref
	err := s.publish(i, c, &pub, func(id string, err error) {
		c := s.find(key)
		switch {
		case c == nil || c.phase != phaseOpen:
		case err != nil:
			s.replyError(i, c, channel, codeBroker, "the message may not have been published", ref)
		default:
			s.replyAt(i, c, "published", channel, id, ref) // a plain message has no id yet
		}
	})
	if err != nil {
		s.refuseCommand(i, c, cmd, err.Code, err.Message)
	}
}

// publishPost handles POST /v1/publish with body text.
func (s *shard) publishPost(i uint32, c *client, text []byte) {
	var pub publication
	if err := jsontext.Decode(text, &pub); err != nil {
		s.refuseBody(i, c, badRequest("the body is a JSON object: %v", err))
		return
	}
	key, channel := s.conns.Key(i), pub.Channel
	err := s.publish(i, c, &pub, func(id string, err error) {
		c := s.find(key)
		switch {
		case c == nil || c.phase != phaseBody:
		case err != nil:
			s.refuseBody(i, c, &http1.Error{Status: 503, Code: codeBroker, Message: "the message may not have been published"})
		default:
			s.respondJSON(i, c, map[string]string{"channel": channel, "id": id})
		}
	})
	if err != nil {
		s.refuseBody(i, c, err)
	}
}

// publishShare is the divisor of limits.total_input_bytes for messages waiting for Redis.
const publishShare = 4

// publish hands a client's message to the publisher, if its channel's rule lets clients publish.
// done is called on the shard's loop.
func (s *shard) publish(i uint32, c *client, pub *publication, done func(id string, err error)) *http1.Error {
	payload, err := pub.check(min(s.cfg.Limits.MessageBytes, s.cfg.maxPayload))
	if err != nil {
		return err
	}
	rule := s.cfg.rules.of(pub.Channel)
	if !s.mayPublish(c, pub.Channel, rule) {
		return &http1.Error{Status: 403, Code: codeForbidden, Message: "publishing to this channel is not allowed"}
	}
	options, err := pub.options(rule)
	if err != nil {
		return err
	}
	options.User = s.subjectOf(c)
	if options.IdempotencyKey != "" {
		options.IdempotencyKey = clientKey(options.User, options.IdempotencyKey, payload)
	}
	if err := fanout.CheckPayload(payload, options); err != nil {
		return badRequest("%v", err)
	}
	if !s.mayPublishNow(i) {
		s.stats.rejects[reasons.RejectPublishRate]++
		return overLimit[reasons.RejectPublishRate]
	}
	job := publishJob{
		channel: pub.Channel,
		payload: bytes.Clone(payload),
		options: options,
		by:      time.Now().Add(publishTimeout),
	}
	held := job.bytes()
	job.done = func(id string, err error) {
		s.post(func() {
			s.srv.publisher.hold(-held) // only now: until here it was still held
			s.stats.published[publishResult(err)]++
			done(id, err)
		})
	}
	if !s.srv.publisher.offer(job, int64(s.cfg.Limits.TotalInputBytes)/publishShare) {
		s.stats.rejects[reasons.RejectOverloaded]++
		return &http1.Error{Status: 503, Code: codeOverloaded, Message: "too many messages wait to be published"}
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

// respondJSON responds to a request with a body and makes the connection ready for the next one.
func (s *shard) respondJSON(i uint32, c *client, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings always encode
	}
	s.respond(i, c, 200, text)
}

// refuseBody responds with an error to a request whose body was read, so the connection can be
// kept.
func (s *shard) refuseBody(i uint32, c *client, err *http1.Error) {
	s.traceRefused(i, c, err, nil)
	o := s.connOptions(i, c)
	switch err.Status {
	case 400:
		s.stats.rejects[reasons.RejectBadRequest]++
	case 401:
		s.stats.rejects[reasons.RejectToken]++
		o.Lines = append(o.Lines, challenge+"\r\n"...)
	case 403:
		s.stats.rejects[reasons.RejectForbidden]++
	case 429, 503: // counted by the caller
		o.Lines = append(append(o.Lines, s.retryAfter()...), "\r\n"...)
	}
	s.respondWith(i, c, http1.AppendError(nil, err.Status, err.Code, err.Message, o))
}

func (s *shard) respond(i uint32, c *client, status int, body []byte) {
	s.respondWith(i, c, http1.AppendResponse(nil, status, body, s.connOptions(i, c)))
}
