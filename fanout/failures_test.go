package fanout

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// Readiness, the log and a count report that Redis takes no durable messages, until it takes
// one again, by whichever way they are published.
func TestRedisTakesNoMessages(t *testing.T) {
	server := startRedis(t)
	for name, fault := range map[string]struct {
		begin, end []any
		kind       FailureKind
		text       string
	}{
		"full":      {[]any{"CONFIG", "SET", "maxmemory", "1"}, []any{"CONFIG", "SET", "maxmemory", "0"}, FailureMemory, "OOM"},
		"a replica": {[]any{"REPLICAOF", "127.0.0.1", "1"}, []any{"REPLICAOF", "NO", "ONE"}, FailureReadOnly, "READONLY"},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			b, stop := startBrokerLogging(t, testConfig(server.URL()), "node1", slog.New(slog.NewTextHandler(&log, nil)))
			defer stop()
			waitReady(t, b)
			durable := PublishOptions{Durable: true}
			message := Publication{Channel: "news", Payload: []byte("x"), Options: durable}
			if _, err := b.Publish(t.Context(), "news", []byte("x"), durable); err != nil {
				t.Fatal(err)
			}
			server.Do(fault.begin...)
			for i := range refusalsInTurn {
				if err := b.Ready(); err != nil {
					t.Fatalf("after %d: %v", i, err)
				}
				var err error
				if i%2 == 0 {
					_, err = b.Publish(t.Context(), "news", []byte("x"), durable)
				} else {
					err = b.PublishBatch(t.Context(), []Publication{message})[0].Err
				}
				if err == nil {
					t.Fatal("a message was taken")
				}
			}
			if err := b.Ready(); err == nil || !strings.Contains(err.Error(), fault.text) {
				t.Errorf("readiness says %v", err)
			}
			// A plain message that is taken says nothing of durable ones.
			if _, err := b.Publish(t.Context(), "news", []byte("x"), PublishOptions{}); err != nil {
				t.Error(err)
			}
			if b.Ready() == nil {
				t.Error("ready again after a plain message")
			}
			server.Do(fault.end...)
			if _, err := b.Publish(t.Context(), "news", []byte("x"), durable); err != nil {
				t.Fatal(err)
			}
			waitReady(t, b)
			if n := b.Stats().Failures[fault.kind]; n != refusalsInTurn {
				t.Errorf("%d failures are counted: %v", n, b.Stats().Failures)
			}
			stop()
			if n := strings.Count(log.String(), "redis did not take a message"); n != 1 {
				t.Errorf("%d lines in the log, want 1: %s", n, log.String())
			}
			if !strings.Contains(log.String(), "reason="+string(fault.kind)) {
				t.Errorf("the log doesn't say why: %s", log.String())
			}
		})
	}
}

// Mistakes of publishers, and failures of one channel, don't affect readiness.
func TestRefusalsOfOneChannel(t *testing.T) {
	server := startRedis(t)
	server.Do("SET", "{push:odd}:log", "not a stream")
	b := runBroker(t, testConfig(server.URL()))
	waitReady(t, b)
	for range 2 * refusalsInTurn {
		for _, p := range []Publication{
			{Channel: "odd", Payload: []byte("x"), Options: PublishOptions{Durable: true}},
			{Channel: "no channel", Payload: []byte("x"), Options: PublishOptions{Durable: true}},
			{Channel: "news", Payload: []byte("\x1e1-1\x1ex")},
		} {
			if _, err := b.Publish(t.Context(), p.Channel, p.Payload, p.Options); err == nil {
				t.Fatalf("%s was taken", p.Channel)
			}
			if b.PublishBatch(t.Context(), []Publication{p})[0].Err == nil {
				t.Fatalf("%s was taken", p.Channel)
			}
		}
	}
	if err := b.Ready(); err != nil {
		t.Error(err)
	}
	for kind, n := range b.Stats().Failures {
		if want := map[FailureKind]uint64{FailureRefused: 4 * refusalsInTurn}[kind]; n != want {
			t.Errorf("%d failures of kind %s, want %d", n, kind, want)
		}
	}
}

type answered string

func (e answered) Error() string { return string(e) }
func (answered) RedisError()     {}

func TestFailureKinds(t *testing.T) {
	for text, want := range map[string]FailureKind{
		"OOM command not allowed when used memory > 'maxmemory'.":                            FailureMemory,
		"ERR Error running script (call to f_1): @user_script: 38: -OOM command not allowed": FailureMemory,
		"READONLY You can't write against a read only replica.":                              FailureReadOnly,
		"MISCONF Redis is configured to save RDB snapshots":                                  FailureDisk,
		"NOPERM this user has no permissions":                                                FailureRights,
		"WRONGTYPE Operation against a key":                                                  FailureRefused,
		"OOMPH":                                                                              FailureRefused,
	} {
		if got := failureKindOf(answered(text)); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	if got := failureKindOf(io.EOF); got != FailureNoAnswer {
		t.Errorf("a lost connection: %s", got)
	}
}

// The failure passes when publishing stops.
func TestRefusalsPass(t *testing.T) {
	var r publishFailures
	for range refusalsInTurn {
		r.failed(testLog(), "news", true, answered("OOM command not allowed"))
	}
	if err := r.ready(); err == nil || !errors.As(err, new(answered)) {
		t.Errorf("got %v", err)
	}
	r.last = time.Now().Add(-refusalsLast - time.Second)
	if err := r.ready(); err != nil {
		t.Errorf("after %v: %v", refusalsLast, err)
	}
}
