package fanout

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/internal/redistest"
)

// testDeadline is how long a test waits for something to come true.
const testDeadline = time.Minute

// eventually fails the test unless fn comes true before the deadline.
func eventually(t testing.TB, what string, fn func() bool) {
	t.Helper()
	for end := time.Now().Add(testDeadline); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if fn() {
			return
		}
	}
	t.Fatalf("still not after %v: %s", testDeadline, what)
}

// redisServer is a real redis-server with what these tests ask of it.
type redisServer struct {
	*redistest.Server
	t      testing.TB
	addr   string
	client *redis.Client
}

// startRedis starts a server that lives until the test ends.
func startRedis(t testing.TB, args ...string) *redisServer {
	t.Helper()
	s := newRedis(t, args...)
	s.start()
	return s
}

// newRedis reserves an address and starts nothing yet.
func newRedis(t testing.TB, args ...string) *redisServer {
	t.Helper()
	s := redistest.New(t, args...)
	return &redisServer{s, t, s.Addr, s.Client}
}

func (s *redisServer) start() { s.t.Helper(); s.Start() }

func (s *redisServer) kill() { s.Kill() }

func (s *redisServer) signal(sig syscall.Signal) { s.t.Helper(); s.Signal(sig) }

func (s *redisServer) url() string { return s.URL() }

func (s *redisServer) calls(command string) int { s.t.Helper(); return s.Calls(command) }

func (s *redisServer) do(args ...any) any { s.t.Helper(); return s.Do(args...) }

// subscribers returns how many connections are subscribed to a channel.
func (s *redisServer) subscribers(channel string) int64 {
	s.t.Helper()
	return s.client.PubSubNumSub(context.Background(), channel).Val()[channel]
}

// publish publishes a plain message as any program may.
func (s *redisServer) publish(channel string, payload any) {
	s.t.Helper()
	if err := s.client.Publish(context.Background(), "push:"+channel, payload).Err(); err != nil {
		s.t.Fatal(err)
	}
}

// publishDurable publishes by the script as any program may.
func (s *redisServer) publishDurable(channel string, payload any, maxLen int) string {
	s.t.Helper()
	key := fmt.Sprintf("{push:%s}:log", channel)
	id, err := publishScript.Run(context.Background(), s.client, []string{key},
		"push:"+channel, payload, maxLen, 3600).Text()
	if err != nil {
		s.t.Fatal(err)
	}
	return id
}

func mustPosition(t testing.TB, s string) message.Position {
	t.Helper()
	p, err := message.ParsePosition(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
