package fanout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestPublishBatchKeepsTheOrderOfAChannel(t *testing.T) {
	server := startRedis(t)
	b := runBroker(t, testConfig(server.URL()))
	r := newRecorder()
	channels := []string{"one", "two", "three"}
	for _, name := range channels {
		join(b, name, r)
		r.wait(t, name, 1)
	}
	const each = 100
	var batch []Publication
	want := map[string][]string{}
	for i := range each {
		for k, name := range channels {
			text := fmt.Sprintf("%s %d", name, i)
			want[name] = append(want[name], text)
			batch = append(batch, Publication{name, []byte(text), PublishOptions{Durable: (i+k)%2 == 0}})
		}
	}
	for i, p := range b.PublishBatch(context.Background(), batch) {
		if p.Err != nil || (p.ID != "") != batch[i].Options.Durable {
			t.Fatalf("message %d: %+v", i, p)
		}
	}
	for _, name := range channels {
		r.wait(t, name, each+1)
		if got := r.texts(name)[1:]; !slices.Equal(got, want[name]) {
			t.Fatalf("%s got %q", name, got)
		}
	}
	if s := b.Stats(); s.Published != 3*each || s.PublishErrors != 0 {
		t.Errorf("stats: %+v", s)
	}
}

// One message that can't be published keeps no other back.
func TestPublishBatchTellsErrorsApart(t *testing.T) {
	server := startRedis(t)
	b := runBroker(t, testConfig(server.URL()))
	if err := server.Client.Set(context.Background(), "{push:taken}:log", "text", 0).Err(); err != nil {
		t.Fatal(err)
	}
	durable := PublishOptions{Durable: true}
	once := PublishOptions{Durable: true, IdempotencyKey: "k"}
	got := b.PublishBatch(context.Background(), []Publication{
		{"taken", []byte("x"), durable},
		{"bad name", []byte("x"), durable},
		{"news", []byte("\x1e1-1\x1ex"), PublishOptions{}},
		{"news", []byte("x"), once},
		{"news", []byte("x"), once},
		{"news", nil, PublishOptions{}},
	})
	for i, fails := range []bool{true, true, true, false, false, false} {
		if (got[i].Err != nil) != fails {
			t.Errorf("message %d: %v", i, got[i].Err)
		}
	}
	if !errors.Is(got[2].Err, ErrMarked) {
		t.Errorf("got %v, want ErrMarked", got[2].Err)
	}
	if got[3].ID == "" || got[3].ID != got[4].ID {
		t.Errorf("the same key gave %s and %s", got[3].ID, got[4].ID)
	}
	if n := server.Client.XLen(context.Background(), "{push:news}:log").Val(); n != 1 {
		t.Errorf("the stream has %d messages", n)
	}
}

func TestPublishBatchWithoutRedis(t *testing.T) {
	b := runBroker(t, testConfig(newRedis(t).URL()))
	ctx, cancel := context.WithTimeout(context.Background(), testDeadline)
	defer cancel()
	for i, p := range b.PublishBatch(ctx, []Publication{{"a", nil, PublishOptions{}}, {"b", nil, PublishOptions{Durable: true}}}) {
		if p.Err == nil || p.ID != "" {
			t.Errorf("message %d: %+v", i, p)
		}
	}
	if got := b.PublishBatch(ctx, nil); len(got) != 0 {
		t.Errorf("nothing gave %v", got)
	}
}

func TestPublishBatchKeepsByItsOptions(t *testing.T) {
	server := startRedis(t)
	b := runBroker(t, testConfig(server.URL()))
	ctx := context.Background()
	batch := make([]Publication, 500)
	for i := range batch {
		batch[i] = Publication{"news", []byte("x"), PublishOptions{Durable: true, MaxLen: 10, TTL: time.Minute}}
	}
	b.PublishBatch(ctx, batch)
	if n := server.Client.XLen(ctx, "{push:news}:log").Val(); n < 10 || n > 210 {
		t.Errorf("the stream keeps %d messages, want about 10", n)
	}
	if ttl := server.Client.TTL(ctx, "{push:news}:log").Val(); ttl <= 0 || ttl > time.Minute {
		t.Errorf("the stream is kept for %v", ttl)
	}
}
