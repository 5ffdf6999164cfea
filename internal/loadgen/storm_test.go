package loadgen

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pushgate/pushgate/internal/gatewaytest"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
	"github.com/pushgate/pushgate/internal/loadgen/publish"
	"github.com/pushgate/pushgate/internal/loadgen/result"
)

// stormConfig is quick: the clients are back at once.
func stormConfig(t *testing.T, s *scripted, clients int) plan.Config {
	c := s.start(t, clients, 1)
	c.Share, c.Rate = 0.5, 200
	c.Before, c.After, c.GiveUp = 100*time.Millisecond, 100*time.Millisecond, 10*time.Second
	c.Backoff, c.BackoffMost = 50*time.Millisecond, 100*time.Millisecond
	return c
}

func mustStorm(t *testing.T, s *scripted, c plan.Config) *result.Result {
	t.Helper()
	var p publish.Publisher
	if c.Rate > 0 {
		p = s
	}
	r, err := storm.with(t.Context(), c, Options{}, p)
	if err != nil {
		t.Fatal(err)
	}
	if r.Storm == nil {
		t.Fatalf("no storm: %q", r.Failed)
	}
	return r
}

// Half of the clients are cut and reconnect; the others miss nothing, and the losses of the cut
// ones are counted as theirs.
func TestStormCut(t *testing.T) {
	t.Parallel()
	for _, loops := range []int{1, 2} {
		s := newScripted()
		c := stormConfig(t, s, 20)
		c.Loops = loops
		r := mustStorm(t, s, c)
		x, f, n := r.Storm, r.Fanout, r.Counters
		if !r.Good() || x.Clients != 10 || x.Returned != 10 || n.Cut != 10 || n.Lost != 0 || x.Attempts != 10 || x.Failed != 0 || x.Handshake.Count != 10 {
			t.Errorf("storm %+v, counters %+v: %q", x, n, r.Failed)
		}
		if !(0 < x.Back50 && x.Back50 <= x.Back95 && x.Back95 <= x.Back100 && x.Back100 < 10) {
			t.Errorf("back after %v, %v, %v s", x.Back50, x.Back95, x.Back100)
		}
		if f.Expected != 20*uint64(f.Published) || f.ExpectedMoved != f.Expected/2 || f.Missing != f.MissingMoved || f.Delivered+f.Missing != f.Expected {
			t.Errorf("messages %+v", f)
		}
		if r.Connect.Handshake.Count != 20 {
			t.Errorf("%d handshakes before the storm", r.Connect.Handshake.Count)
		}
	}
}

// Clients that reconnect with their positions miss nothing and get nothing twice, over every
// transport.
func TestStormResume(t *testing.T) {
	for _, transport := range []plan.Transport{plan.WebSocket, plan.SSE, plan.Poll} {
		t.Run(string(transport), func(t *testing.T) {
			s := newScripted()
			c := stormConfig(t, s, 8)
			c.Transport, c.Resume, c.Backoff, c.BackoffMost = transport, true, 200*time.Millisecond, 200*time.Millisecond
			if transport == plan.WebSocket {
				c.Channels = "news,room.%d{2}"
			}
			r := mustStorm(t, s, c)
			f := r.Fanout
			if !r.Good() || f.Missing != 0 || f.Duplicated != 0 || f.Reordered != 0 || f.Delivered != f.Expected || r.Storm.Returned != 4 {
				t.Errorf("%+v: %q", f, r.Failed)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if want := map[plan.Transport]int{plan.WebSocket: 8, plan.SSE: 4, plan.Poll: 0}[transport]; s.resumed != want {
				t.Errorf("%d subscriptions were resumed, want %d", s.resumed, want)
			}
		})
	}
}

// An event stream of several channels is replayed from before its position: by
// design, and no fault. Over WebSocket it would be one.
func TestStormReplayed(t *testing.T) {
	t.Parallel()
	for transport, good := range map[plan.Transport]bool{plan.SSE: true, plan.WebSocket: false} {
		s := newScripted()
		s.rewind = 1000
		c := stormConfig(t, s, 8)
		c.Transport, c.Resume, c.Durable, c.Channels = transport, true, true, "news,room.%d{2}"
		r := mustStorm(t, s, c)
		f := r.Fanout
		if r.Good() != good || f.Missing != 0 || f.Delivered != f.Expected || (f.Replayed > 0) != good || (f.Duplicated == 0) != good {
			t.Errorf("%s: %+v: %q", transport, f, r.Failed)
		}
	}
}

// Messages that a client that stayed misses in a storm are counted apart, and fail the run.
func TestStormMissing(t *testing.T) {
	t.Parallel()
	s := newScripted()
	s.faults = func(sub, n int) fault {
		if n == 5 {
			return drop // before the storm, for all
		}
		return deliver
	}
	c := stormConfig(t, s, 10)
	c.Before = 500 * time.Millisecond
	r := mustStorm(t, s, c)
	f := r.Fanout
	// Everybody lost one before the storm; those away may have lost more.
	if f.Missing-f.MissingMoved != 5 || f.MissingMoved < 5 || r.Good() || !strings.Contains(r.Failed[0], fmt.Sprintf("5 of %d deliveries are missing", f.Expected)) {
		t.Errorf("%d missing, %d of clients that were away: %q", f.Missing, f.MissingMoved, r.Failed)
	}
}

// A gateway that turns them away at first costs attempts; one that never lets
// them in again ends the wait.
func TestStormRefused(t *testing.T) {
	t.Parallel()
	s := newScripted()
	s.refuse = func(client int) int {
		if client >= 10 && client < 22 {
			return 503
		}
		return 0
	}
	c := stormConfig(t, s, 10)
	c.Rate = 0
	r := mustStorm(t, s, c)
	if x := r.Storm; !r.Good() || x.Failed != 12 || x.Attempts != 17 || x.Returned != 5 || r.Retries["HTTP 503"] != 12 || len(r.Failures) != 0 || r.Counters.Failed != 0 {
		t.Errorf("%+v, failures %v: %q", x, r.Failures, r.Failed)
	}

	s = newScripted()
	s.refuse = func(client int) int {
		if client >= 13 {
			return 503
		}
		return 0
	}
	c = stormConfig(t, s, 10)
	c.GiveUp = time.Second
	r = mustStorm(t, s, c)
	if x := r.Storm; r.Good() || x.Returned != 3 || x.Back50 <= 0 || x.Back95 != result.Never || x.Back100 != result.Never {
		t.Errorf("%+v: %q", x, r.Failed)
	}
	if text := strings.Join(r.Failed, "\n"); !strings.Contains(text, "only 3 of 5 clients were back after 1s (--give-up)") || !strings.Contains(text, "limits.connections") {
		t.Errorf("failed %q", text)
	}
}

func restartConfig(t *testing.T) plan.Config {
	c := plan.DefaultConfig()
	addr := gatewaytest.Address(t)
	c.URL = "ws://" + addr
	c.ServerCmd = fmt.Sprintf("env %s=%s %s", serverVariable, addr, os.Args[0])
	c.Connections, c.InFlight, c.Timeout = 12, 4, 10*time.Second
	c.Before, c.After = 20*time.Millisecond, 20*time.Millisecond
	c.Backoff, c.BackoffMost = 20*time.Millisecond, 100*time.Millisecond
	return c
}

// The gateway is started, stopped and started again, and all reconnect.
func TestStormRestart(t *testing.T) {
	t.Parallel()
	for _, signal := range []string{"TERM", "KILL"} {
		c := restartConfig(t)
		c.ServerSignal = signal
		r, err := RunStorm(t.Context(), c, Options{})
		if err != nil {
			t.Fatal(err)
		}
		x := r.Storm
		if x == nil || !r.Good() || x.Clients != 12 || x.Returned != 12 || r.Counters.Lost != 12 || x.Stopped <= 0 || x.Started < x.Stopped || x.Back50 < x.Started {
			t.Errorf("%s: %+v, losses %v: %q", signal, x, r.Losses, r.Failed)
		}
		// A client that was lost to the restart and reconnected is one that was ready, whatever
		// it took.
		r.Judge(mustSLOs(t, "clients==12", "failed==0", "failed_share==0%", "lost==0"))
		if !r.Met() {
			t.Errorf("%s: %+v", signal, r.SLOs)
		}
		// The kernel's figures and the server's outlive the first process.
		if k, s := r.Kernel, r.Server; k == nil || k.After.Sockets == 0 || k.After.Slab == 0 || s == nil || s.After.RSS == 0 {
			t.Errorf("kernel %+v, server %+v", k, s)
		}
		if conn, err := net.Dial("tcp", strings.TrimPrefix(c.URL, "ws://")); err == nil {
			conn.Close()
			t.Error("the gateway runs on after the run")
		}
	}
}

// A variable before the command is the gateway's, which takes the shell's place
// and so the signal.
func TestStormRestartVariable(t *testing.T) {
	t.Parallel()
	c := restartConfig(t)
	c.ServerCmd = fmt.Sprintf("%s='%s' %s", serverVariable, strings.TrimPrefix(c.URL, "ws://"), os.Args[0])
	c.Connections = 3
	r, err := RunStorm(t.Context(), c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !r.Good() || r.Storm.Returned != 3 || r.Server == nil || r.Server.Name == "sh" {
		t.Errorf("%+v, server %+v: %q", r.Storm, r.Server, r.Failed)
	}
}

func TestStormBadServer(t *testing.T) {
	tests := map[string]struct {
		change func(c *plan.Config)
		want   string
		usage  bool
	}{
		"not found":       {func(c *plan.Config) { c.ServerCmd = "/no/such/gateway" }, "it ended", false},
		"ends with words": {func(c *plan.Config) { c.ServerCmd = "sh -c 'echo wrong key; exit 3'" }, "wrong key", false},
		"wrong port":      {func(c *plan.Config) { c.ServerCmd, c.Timeout = "sleep 60", 200*time.Millisecond }, "nothing listens on", false},
		"taken": {func(c *plan.Config) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { ln.Close() })
			c.URL = "ws://" + ln.Addr().String()
		}, "something listens on", true},
		"elsewhere":    {func(c *plan.Config) { c.URL, c.AllowRemote = "ws://192.0.2.1", true }, "starts a gateway on this host", true},
		"nobody":       {func(c *plan.Config) { c.ServerCmd = "" }, "--share 0: nobody would be cut", true},
		"no pause":     {func(c *plan.Config) { c.Backoff = 0 }, "--backoff 0s: want more than 0", true},
		"other signal": {func(c *plan.Config) { c.ServerSignal = "HUP" }, "--server-signal HUP: not allowed", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := restartConfig(t)
			tt.change(&c)
			_, err := RunStorm(t.Context(), c, Options{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			if usage := (*plan.UsageError)(nil); errors.As(err, &usage) != tt.usage {
				t.Errorf("%v: a usage error is %v, want %v", err, !tt.usage, tt.usage)
			}
		})
	}
}

// When all clients are lost, the wait for missing messages ends at once.
func TestNobodyLeft(t *testing.T) {
	s := newScripted()
	s.faults = func(_, n int) fault {
		if n == 3 {
			return cutOff
		}
		return deliver
	}
	c := s.start(t, 4, 10)
	c.Timeout = time.Hour
	r := mustFanout(t, s, c)
	if got, want := figuresOf(r), (figures{expected: 40, delivered: 8, missing: 32, lost: 4, incomplete: 4}); got != want {
		t.Errorf("got %+v, want %+v: %q", got, want, r.Failed)
	}
}
