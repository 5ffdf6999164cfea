package fanout

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/internal/redistest"
)

// testDeadline is the longest wait for a condition.
const testDeadline = time.Minute

// eventually fails the test unless fn becomes true before the deadline.
func eventually(t testing.TB, what string, fn func() bool) {
	t.Helper()
	for end := time.Now().Add(testDeadline); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if fn() {
			return
		}
	}
	t.Fatalf("still not after %v: %s", testDeadline, what)
}

// redisServer is a real redis-server to publish to.
type redisServer struct {
	*redistest.Server
	t testing.TB
}

// startRedis starts a server that lives until the test ends.
func startRedis(t testing.TB, args ...string) *redisServer {
	t.Helper()
	s := newRedis(t, args...)
	s.Start()
	return s
}

// newRedis reserves an address and starts nothing yet.
func newRedis(t testing.TB, args ...string) *redisServer {
	t.Helper()
	s := redistest.New(t, args...)
	return &redisServer{s, t}
}

// subscribers returns how many connections are subscribed to a channel.
func (s *redisServer) subscribers(channel string) int64 {
	s.t.Helper()
	return s.Client.PubSubNumSub(context.Background(), channel).Val()[channel]
}

// publish publishes a plain message as any program may.
func (s *redisServer) publish(channel string, payload any) {
	s.t.Helper()
	if err := s.Client.Publish(context.Background(), "push:"+channel, payload).Err(); err != nil {
		s.t.Fatal(err)
	}
}

// publishDurable publishes by the script as any program may.
func (s *redisServer) publishDurable(channel string, payload any, maxLen int) string {
	s.t.Helper()
	key := fmt.Sprintf("{push:%s}:log", channel)
	id, err := publishScript.Run(context.Background(), s.Client, []string{key},
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
