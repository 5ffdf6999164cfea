package loadgen

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
	"github.com/pushgate/pushgate/internal/loadgen/result"
)

// A port that takes connections and drops them gets a hint at its kind.
func TestHintNoGateway(t *testing.T) {
	for name, linger := range map[account.Reason]int{account.ReasonEarly: -1, account.ReasonReset: 0} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				conn, err := ln.Accept()
				if err != nil {
					return
				}
				// Unread bytes would make any close a reset.
				conn.SetReadDeadline(time.Now().Add(10 * time.Second))
				io.ReadAtLeast(conn, make([]byte, 4096), 100)
				conn.(*net.TCPConn).SetLinger(linger)
				conn.Close()
			}
		}()
		c := plan.DefaultConfig()
		c.URL, c.Connections, c.Hold = "ws://"+ln.Addr().String(), 1, 0
		r, err := Idle(t.Context(), c, Options{})
		if err != nil {
			t.Fatal(err)
		}
		ln.Close()
		<-done
		if text := strings.Join(r.Failed, "\n"); r.Failures[name] != 1 || !strings.Contains(text, string(name)+": that port may speak TLS, or it isn't a gateway's") {
			t.Errorf("%v: %q", r.Failures, text)
		}
	}
}

// A bad token closes a WebSocket that has only just opened.
func TestHintToken(t *testing.T) {
	s := newScripted()
	s.badToken = true
	c := s.start(t, 2, 1)
	r, err := Idle(t.Context(), c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(r.Failed, "\n"); r.Failures["closed 4001: token"] != 2 || !strings.Contains(text, "closed 4001: token: the gateway wants a token that it can check: --jwt-key") {
		t.Errorf("%v: %q", r.Failures, text)
	}
}

// The hint on lost ready clients follows the gateway's close code, and says nothing of ports.
func TestHintLost(t *testing.T) {
	r := &result.Result{Losses: account.Tally{account.ReasonReset: 9, "closed 4001": 1}}
	if got := r.Hint(); !strings.Contains(got, "--jwt-key") {
		t.Errorf("hint %q", got)
	}
}
