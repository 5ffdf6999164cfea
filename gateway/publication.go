package gateway

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/http1"
)

// publication is a message as a publisher sends it, in JSON.
type publication struct {
	Channel        string          `json:"channel"`
	Data           json.RawMessage `json:"data"`
	DataBase64     *string         `json:"data_base64"` // bytes that are no JSON
	Durable        *bool           `json:"durable"`     // as the channel's rule says when absent
	IdempotencyKey string          `json:"idempotency_key"`
}

// operatorPublication is a publication of the operator's or a backend's, which may
// say for whom it publishes. That of a client is its token's subject.
type operatorPublication struct {
	publication
	User string `json:"user"`
}

// maxIdempotencyKey bounds a key, which is part of a key in Redis.
const maxIdempotencyKey = 200

// payload returns the bytes to publish: the data as it was spelled.
func (p *publication) payload() ([]byte, error) {
	switch {
	case p.DataBase64 != nil && p.Data != nil:
		return nil, errors.New("give data or data_base64, not both")
	case p.DataBase64 != nil:
		b, err := base64.StdEncoding.DecodeString(*p.DataBase64)
		if err != nil {
			return nil, errors.New("data_base64 is not base64")
		}
		return b, nil
	case p.Data == nil:
		return nil, errors.New("data is missing")
	}
	return p.Data, nil
}

// check returns the payload of a publication that can be published.
func (p *publication) check(maxBytes int) ([]byte, *http1.Error) {
	if err := message.ValidChannel(p.Channel); err != nil {
		return nil, &http1.Error{Status: 400, Code: codeInvalidChannel, Message: err.Error()}
	}
	if len(p.IdempotencyKey) > maxIdempotencyKey {
		return nil, badRequest("idempotency_key is longer than %d bytes", maxIdempotencyKey)
	}
	payload, err := p.payload()
	if err != nil {
		return nil, badRequest("%v", err)
	}
	if len(payload) > maxBytes {
		return nil, &http1.Error{Status: 413, Code: codeTooLarge, Message: fmt.Sprintf("data has %d bytes, at most %d are taken", len(payload), maxBytes)}
	}
	return payload, nil
}

// options returns how p is published to a channel with a rule.
func (p *publication) options(rule *compiledRule) (fanout.PublishOptions, *http1.Error) {
	o := rule.options(p.Durable, p.IdempotencyKey)
	if o.IdempotencyKey != "" && !o.Durable {
		return o, badRequest("idempotency_key needs durable: a plain message is never kept, so nothing can tell a second one")
	}
	return o, nil
}

const (
	// publishers is how many calls to Redis are under way for clients at once.
	publishers = 8
	// publishQueue is how many more may wait for their turn.
	publishQueue = 4096
	// publishTimeout bounds a wait for Redis.
	publishTimeout = 5 * time.Second
)

// publishJob is what a client published; done is called by a publisher, and has the
// job's bytes counted no more.
type publishJob struct {
	channel string
	payload []byte
	options fanout.PublishOptions
	done    func(id string, err error)
	by      time.Time // when it has waited for publishTimeout
}

// publisher publishes what clients send. Shards can't wait for Redis, so they
// hand it over; the jobs of one channel go through one worker, which keeps
// their order.
type publisher struct {
	broker *fanout.Broker
	jobs   [publishers]chan publishJob // sent to by the shards, received by the workers; never closed

	// Atomic

	inputs  *atomic.Int64 // what all clients sent, these messages included
	waiting atomic.Int64  // bytes of memory of all jobs that aren't done
}

func newPublisher(b *fanout.Broker, inputs *atomic.Int64) *publisher {
	p := &publisher{broker: b, inputs: inputs}
	for i := range p.jobs {
		p.jobs[i] = make(chan publishJob, publishQueue/publishers)
	}
	return p
}

// run works until ctx ends.
func (p *publisher) run(ctx context.Context) {
	var workers sync.WaitGroup
	for _, jobs := range p.jobs {
		workers.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case j := <-jobs:
					limited, cancel := context.WithDeadline(ctx, j.by)
					id, err := p.broker.Publish(limited, j.channel, j.payload, j.options)
					cancel()
					j.done(id, err)
				}
			}
		})
	}
	workers.Wait()
}

// jobBytes is about what a job takes beside its payload, with what is to be done then.
const jobBytes = 400

// bytes returns the memory that a job takes.
func (j *publishJob) bytes() int64 { return int64(len(j.payload) + len(j.channel) + jobBytes) }

// hold counts bytes, and returns those of all jobs.
func (p *publisher) hold(n int64) int64 {
	p.inputs.Add(n)
	return p.waiting.Add(n)
}

// offer takes a job unless too many are waiting, or they take more than most bytes
// with it and aren't without. It never blocks.
func (p *publisher) offer(j publishJob, most int64) bool {
	n := j.bytes()
	if sum := p.hold(n); sum > most && sum > n {
		p.hold(-n)
		return false
	}
	hash := uint32(2166136261) // FNV-1a
	for _, b := range []byte(j.channel) {
		hash = (hash ^ uint32(b)) * 16777619
	}
	select {
	case p.jobs[hash%publishers] <- j:
		return true
	default:
		p.hold(-n)
		return false
	}
}
