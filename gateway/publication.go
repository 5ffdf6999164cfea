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

// publication is a publisher's message, in JSON.
type publication struct {
	Channel        string          `json:"channel"`
	Data           json.RawMessage `json:"data"`
	DataBase64     *string         `json:"data_base64"` // bytes that aren't JSON
	Durable        *bool           `json:"durable"`     // absent: by the channel's rule
	IdempotencyKey string          `json:"idempotency_key"`
}

// operatorPublication is a publication of the operator or a backend, which may name the user it
// publishes for. A client's user is its token's subject.
type operatorPublication struct {
	publication
	User string `json:"user"`
}

// maxIdempotencyKey bounds a key, which is part of a key in Redis.
const maxIdempotencyKey = 200

// payload returns the bytes to publish: the data in its original spelling.
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

// check validates p and returns its payload.
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

// options returns the options for publishing p to a channel with a rule.
func (p *publication) options(rule *compiledRule) (fanout.PublishOptions, *http1.Error) {
	o := rule.options(p.Durable, p.IdempotencyKey)
	if o.IdempotencyKey != "" && !o.Durable {
		return o, badRequest("idempotency_key needs durable: a plain message is never kept, so a duplicate cannot be detected")
	}
	return o, nil
}

const (
	// publishers is the number of concurrent calls to Redis for clients.
	publishers = 8
	// publishQueue is the number of jobs that may wait for them.
	publishQueue = 4096
	// publishTimeout bounds a wait for Redis.
	publishTimeout = 5 * time.Second
)

// publishJob is a client's publish; done is called by a publisher, and uncounts the job's bytes.
type publishJob struct {
	channel string
	payload []byte
	options fanout.PublishOptions
	done    func(id string, err error)
	by      time.Time // deadline: publishTimeout after it was queued
}

// publisher publishes clients' messages. Shards can't wait for Redis, so they hand them over; the
// jobs of one channel go through one worker, which keeps their order.
type publisher struct {
	broker *fanout.Broker
	jobs   [publishers]chan publishJob // sent to by the shards, received by the workers; never closed

	// Atomic

	inputs  *atomic.Int64 // input of all clients, these messages included
	waiting atomic.Int64  // bytes of memory of all unfinished jobs
}

func newPublisher(b *fanout.Broker, inputs *atomic.Int64) *publisher {
	p := &publisher{broker: b, inputs: inputs}
	for i := range p.jobs {
		p.jobs[i] = make(chan publishJob, publishQueue/publishers)
	}
	return p
}

// run runs the workers until ctx ends.
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

// jobBytes is the approximate overhead of a job besides its payload, with its completion.
const jobBytes = 400

// bytes returns the memory of a job.
func (j *publishJob) bytes() int64 { return int64(len(j.payload) + len(j.channel) + jobBytes) }

// hold adds n bytes, and returns the sum of all jobs.
func (p *publisher) hold(n int64) int64 {
	p.inputs.Add(n)
	return p.waiting.Add(n)
}

// offer queues a job unless too many are waiting, or it brings the jobs' memory over most bytes and
// isn't the only one. It never blocks.
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
