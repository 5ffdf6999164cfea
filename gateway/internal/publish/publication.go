// Package publish publishes clients' messages: it reads them, and takes them to Redis without the loops
// having to wait.
package publish

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
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/gateway/internal/rules"
)

// Publication is a publisher's message, in JSON.
type Publication struct {
	Channel        string          `json:"channel"`
	Data           json.RawMessage `json:"data"`
	DataBase64     *string         `json:"data_base64"` // bytes that aren't JSON
	Durable        *bool           `json:"durable"`     // absent: by the channel's rule
	IdempotencyKey string          `json:"idempotency_key"`
}

// Codes of errors.
const (
	CodeInvalidChannel = "invalid_channel"
	CodeTooLarge       = "too_large"
	CodeBroker         = "broker_unavailable"
)

// maxIdempotencyKey bounds a key, which is part of a key in Redis.
const maxIdempotencyKey = 200

// payload returns the bytes to publish: the data in its original spelling.
func (p *Publication) payload() ([]byte, error) {
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

// Check validates p and returns its payload.
func (p *Publication) Check(maxBytes int) ([]byte, *http1.Error) {
	if err := message.ValidChannel(p.Channel); err != nil {
		return nil, &http1.Error{Status: 400, Code: CodeInvalidChannel, Message: err.Error()}
	}
	if len(p.IdempotencyKey) > maxIdempotencyKey {
		return nil, reasons.BadRequest("idempotency_key is longer than %d bytes", maxIdempotencyKey)
	}
	payload, err := p.payload()
	if err != nil {
		return nil, reasons.BadRequest("%v", err)
	}
	if len(payload) > maxBytes {
		return nil, &http1.Error{Status: 413, Code: CodeTooLarge, Message: fmt.Sprintf("data has %d bytes, at most %d are taken", len(payload), maxBytes)}
	}
	return payload, nil
}

// Options returns the options for publishing p to a channel with a rule.
func (p *Publication) Options(rule *rules.Rule) (fanout.PublishOptions, *http1.Error) {
	o := rule.Options(p.Durable, p.IdempotencyKey)
	if o.IdempotencyKey != "" && !o.Durable {
		return o, reasons.BadRequest("idempotency_key needs durable: a plain message is never kept, so a duplicate cannot be detected")
	}
	return o, nil
}

const (
	// publishers is the number of concurrent calls to Redis for clients.
	publishers = 8
	// publishQueue is the number of jobs that may wait for them.
	publishQueue = 4096
	// Timeout bounds a wait for Redis.
	Timeout = 5 * time.Second
)

// Job is a client's publish; Done is called by a publisher, and uncounts the job's bytes.
type Job struct {
	Channel string
	Payload []byte
	Options fanout.PublishOptions
	Done    func(id string, err error)
	By      time.Time // deadline: Timeout after it was queued
}

// Publisher publishes clients' messages. Shards can't wait for Redis, so they hand them over; the
// jobs of one channel go through one worker, which keeps their order.
type Publisher struct {
	broker *fanout.Broker
	jobs   [publishers]chan Job // sent to by the shards, received by the workers; never closed

	// Atomic

	inputs  *atomic.Int64 // input of all clients, these messages included
	waiting atomic.Int64  // bytes of memory of all unfinished jobs
}

// New returns a publisher that counts the jobs' memory in inputs too.
func New(b *fanout.Broker, inputs *atomic.Int64) *Publisher {
	p := &Publisher{broker: b, inputs: inputs}
	for i := range p.jobs {
		p.jobs[i] = make(chan Job, publishQueue/publishers)
	}
	return p
}

// Run runs the workers until ctx ends.
func (p *Publisher) Run(ctx context.Context) {
	var workers sync.WaitGroup
	for _, jobs := range p.jobs {
		workers.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case j := <-jobs:
					limited, cancel := context.WithDeadline(ctx, j.By)
					id, err := p.broker.Publish(limited, j.Channel, j.Payload, j.Options)
					cancel()
					j.Done(id, err)
				}
			}
		})
	}
	workers.Wait()
}

// JobBytes is the approximate overhead of a job besides its payload, with its completion.
const JobBytes = 400

// Bytes returns the memory of a job.
func (j *Job) Bytes() int64 { return int64(len(j.Payload) + len(j.Channel) + JobBytes) }

// Hold adds n bytes, and returns the sum of all jobs.
func (p *Publisher) Hold(n int64) int64 {
	p.inputs.Add(n)
	return p.waiting.Add(n)
}

// Offer queues a job unless too many are waiting, or it brings the jobs' memory over most bytes and
// isn't the only one. It never blocks.
func (p *Publisher) Offer(j Job, most int64) bool {
	n := j.Bytes()
	if sum := p.Hold(n); sum > most && sum > n {
		p.Hold(-n)
		return false
	}
	hash := uint32(2166136261) // FNV-1a
	for _, b := range []byte(j.Channel) {
		hash = (hash ^ uint32(b)) * 16777619
	}
	select {
	case p.jobs[hash%publishers] <- j:
		return true
	default:
		p.Hold(-n)
		return false
	}
}

// Waiting returns the memory of all unfinished jobs.
func (p *Publisher) Waiting() int64 { return p.waiting.Load() }
