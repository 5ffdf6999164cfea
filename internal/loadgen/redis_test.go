package loadgen

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// The script that a run publishes durable messages with is the one that
// backends are given.
func TestPublishScript(t *testing.T) {
	want, err := os.ReadFile("../../configs/publish.lua")
	if err != nil {
		t.Fatal(err)
	}
	if publishScript != string(want) {
		t.Error("publish.lua differs from configs/publish.lua")
	}
}

func TestRedisPublisher(t *testing.T) {
	m := miniredis.RunT(t)
	c := DefaultConfig()
	c.Redis = "redis://" + m.Addr()
	sub := m.NewSubscriber()
	defer sub.Close()
	sub.Subscribe("push:a")
	batch := []publication{{"a", []byte("one")}, {"b", []byte("two")}, {"a", []byte("three")}}

	p, err := newRedisPublisher(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	var got []string
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 4 {
			got = append(got, (<-sub.Messages()).Message)
		}
	}()
	fates, err := p.publish(t.Context(), batch)
	if err != nil || !slices.Equal(fates, []fate{fateTaken, fateUnheard, fateTaken}) {
		t.Errorf("fates %v, error %v; nobody listens to b", fates, err)
	}

	c.Durable = true
	d, err := newRedisPublisher(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	if _, err := d.publish(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatalf("received %q", got)
	}
	if got[0] != "one" || got[1] != "three" {
		t.Errorf("plain: %q", got[:2])
	}
	log, err := m.Stream("{push:a}:log")
	if err != nil || len(log) != 2 || log[0].Values[1] != "one" {
		t.Fatalf("stream %v, %v", log, err)
	}
	for i, text := range got[2:] {
		if want := "\x1e" + log[i].ID + "\x1e" + []string{"one", "three"}[i]; text != want {
			t.Errorf("durable %q, want %q", text, want)
		}
	}
	if m.TTL("{push:a}:log") <= 0 {
		t.Error("the stream never expires")
	}
}

// Redis that isn't there is told before any client connects.
func TestFanoutNoRedis(t *testing.T) {
	m := miniredis.RunT(t)
	c := DefaultConfig()
	c.Redis = "redis://" + m.Addr()
	m.Close()
	_, err := Fanout(t.Context(), c, Options{})
	if err == nil || !strings.Contains(err.Error(), "--redis must name") {
		t.Errorf("error %v", err)
	}
}

// The whole way through Redis; nobody there forwards, so all is missing, and
// the reason is found.
func TestFanoutWrongRedis(t *testing.T) {
	m := miniredis.RunT(t)
	s := newScripted()
	c := s.start(t, 3, 4)
	c.Redis, c.Timeout = "redis://"+m.Addr(), time.Second
	r, err := Fanout(t.Context(), c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := figuresOf(r), (figures{expected: 12, missing: 12, incomplete: 3}); got != want || r.Fanout.Unheard != 4 {
		t.Errorf("got %+v, unheard %d", got, r.Fanout.Unheard)
	}
	var table bytes.Buffer
	if err := r.WriteTable(&table); err != nil || !strings.Contains(table.String(), "--redis and --prefix must be the gateway's own") {
		t.Errorf("%v\n%s", err, table.String())
	}
}
