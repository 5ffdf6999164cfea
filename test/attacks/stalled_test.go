package attacks

import (
	"bytes"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// stalledRedis stands before a Redis that lets some commands wait while it is stalled:
// connections are accepted, and these commands get no answer.
type stalledRedis struct {
	addr string

	// Atomic

	subscribe atomic.Bool // SUBSCRIBE waits
	history   atomic.Bool // reads of streams wait
	publish   atomic.Bool // PUBLISH and scripts wait
}

// stall returns such a stand-in, which ends with the test.
func stall(t testing.TB, redis string) *stalledRedis {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &stalledRedis{addr: l.Addr().String()}
	done := make(chan struct{}) // closed by the cleanup
	var all sync.WaitGroup
	t.Cleanup(func() {
		close(done)
		l.Close()
		all.Wait()
	})
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", redis)
			if err != nil {
				c.Close()
				continue
			}
			all.Go(func() { io.Copy(c, up); c.Close() })
			all.Go(func() { s.pass(up, c, done); up.Close() })
			all.Go(func() { <-done; c.Close(); up.Close() })
		}
	})
	return s
}

// pass copies commands, and delays those to be stalled.
func (s *stalledRedis) pass(to, from net.Conn, done <-chan struct{}) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		for s.waits(bytes.ToLower(buf[:n])) {
			select {
			case <-done:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (s *stalledRedis) waits(command []byte) bool {
	return s.publish.Load() && (bytes.Contains(command, []byte("publish\r\n")) || bytes.Contains(command, []byte("evalsha\r\n"))) ||
		s.subscribe.Load() && bytes.Contains(command, []byte("subscribe\r\n")) ||
		s.history.Load() && (bytes.Contains(command, []byte("range\r\n")) || bytes.Contains(command, []byte("xinfo\r\n")))
}
