package fanout

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func testLog() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestEmbedded(t *testing.T) {
	var log bytes.Buffer
	c := testConfig("")
	c.Embedded = "127.0.0.1:0"
	b, err := NewBroker(c, slog.New(slog.NewTextHandler(&log, nil)), "node1")
	if err != nil {
		t.Fatal(err)
	}
	if line := log.String(); !strings.Contains(line, "nothing survives a restart") || !strings.Contains(line, b.embedded.Addr()) {
		t.Errorf("the log says %q", line)
	}
	b.log = testLog()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	waitReady(t, b)
	r := newRecorder()
	join(b, "news", r)
	r.wait(t, "news", 1)

	// As redis-cli -p 6380 would.
	client := redis.NewClient(&redis.Options{Addr: b.embedded.Addr(), Protocol: 2})
	defer client.Close()
	if err := client.Publish(ctx, "push:news", "hello").Err(); err != nil {
		t.Fatal(err)
	}
	r.wait(t, "news", 2)
	o := PublishOptions{Durable: true, IdempotencyKey: "k", TTL: time.Hour, User: `"a"/<é>` + "\x1e"}
	id, err := b.Publish(ctx, "news", []byte("kept"), o)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := b.Publish(ctx, "news", []byte("kept"), o); err != nil || again != id {
		t.Fatalf("repeated: %q, %v, want %q", again, err, id)
	}
	if e := r.wait(t, "news", 3)[2]; e.msg.ID.String() != id || e.msg.User != o.User {
		t.Fatalf("id %s from %q, want %s from %q", e.msg.ID, e.msg.User, id, o.User)
	}
	if got := r.texts("news"); !slices.Equal(got, []string{"joined", "hello", "kept"}) {
		t.Fatalf("got %v", got)
	}
	last, err := b.Publish(ctx, "other", []byte("first"), PublishOptions{Durable: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Publish(ctx, "other", []byte("second"), PublishOptions{Durable: true}); err != nil {
		t.Fatal(err)
	}
	if a := r.replay(t, b, "other", mustPosition(t, last)); a.Gap != nil || !slices.Equal(payloads(a.Messages), []string{"second"}) {
		t.Fatalf("replay: %+v", a)
	}
	b.embedded.FastForward(2 * time.Hour)
	if n := client.Exists(ctx, "{push:news}:log").Val(); n != 0 {
		t.Error("the stream outlived its TTL")
	}
}

// TestEmbeddedTakesRedisCLI types into redis-cli the way a newcomer does: with
// the command on its standard input it first asks for the server's commands.
func TestEmbeddedTakesRedisCLI(t *testing.T) {
	e, err := startEmbedded("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	host, port, err := net.SplitHostPort(e.Addr())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cli := exec.CommandContext(ctx, "redis-cli", "-h", host, "-p", port)
	cli.Stdin = strings.NewReader("publish push:news hi\nset greeting hello\nget greeting\ncommand\n")
	output, err := cli.CombinedOutput()
	if err != nil {
		t.Fatalf("redis-cli: %v\n%s", err, output)
	}
	if got := string(output); !strings.HasPrefix(got, "0\nOK\nhello\n") || !strings.Contains(got, "\npublish\n") {
		t.Fatalf("got %q", got)
	}
}

func TestEmbeddedAddressInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := DefaultConfig()
	c.Embedded = l.Addr().String()
	if _, err := NewBroker(c, testLog(), "node1"); err == nil || !strings.Contains(err.Error(), c.Embedded) {
		t.Fatalf("got %v", err)
	}
}
