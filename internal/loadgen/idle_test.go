package loadgen

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pushgate/pushgate/internal/gatewaytest"
	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
	"github.com/pushgate/pushgate/internal/loadgen/result"
)

func TestIdle(t *testing.T) {
	s := newScripted()
	c := s.start(t, 50, 1)
	c.Sources = "127.0.0.2-127.0.0.4"
	c.PID = 0
	var samples []result.Sample
	r, err := Idle(t.Context(), c, Options{Command: []string{"loadgen", "idle"}, Progress: func(x result.Sample) { samples = append(samples, x) }})
	if err != nil {
		t.Fatal(err)
	}
	if !r.Good() || r.Counters.Ready != 50 || r.Counters.Open != 50 || r.Counters.Attempted != 50 {
		t.Errorf("counters %+v: %q", r.Counters, r.Failed)
	}
	if r.Connect.Handshake.Count != 50 || r.Connect.Ready.Count != 50 || r.Connect.Ready.Max < r.Connect.Handshake.Min {
		t.Errorf("connect %+v", r.Connect)
	}
	if r.Idle == nil || r.Idle.Seconds < 0.1 {
		t.Errorf("held %+v", r.Idle)
	}
	// The server is this process: it was found by its port.
	if r.Server == nil || r.Server.PID != os.Getpid() || r.Server.After.RSS == 0 || r.Server.After.Descriptors < 100 {
		t.Errorf("server %+v", r.Server)
	}
}

// The pace of connects is kept, and no more than -c are under way.
func TestIdlePace(t *testing.T) {
	s := newScripted()
	c := s.start(t, 40, 1)
	c.ConnectRate, c.Loops, c.Hold = 100, 2, 0
	r, err := Idle(t.Context(), c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	// The last of 20 in each loop is due after 19 periods of 20 ms.
	if !r.Good() || r.Connect.Seconds < 0.375 || r.Connect.Seconds > 1 {
		t.Errorf("40 connects at 100/s took %.3f s: %q", r.Connect.Seconds, r.Failed)
	}
}

// Clients that fail to connect are counted by reason, the others are kept.
func TestIdleRefused(t *testing.T) {
	s := newScripted()
	s.refuse = func(client int) int { return map[int]int{3: 503, 4: 503, 9: 404}[client] }
	r, err := Idle(t.Context(), s.start(t, 20, 1), Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := account.Tally{"HTTP 503": 2, "HTTP 404": 1}
	if r.Good() || r.Counters.Ready != 17 || r.Counters.Failed != 3 || !maps.Equal(r.Failures, want) || r.Idle == nil {
		t.Errorf("%+v, failures %v, want %v", r.Counters, r.Failures, want)
	}
}

// Channels that are never confirmed time out.
func TestIdleUnconfirmed(t *testing.T) {
	s := newScripted()
	s.onlyAck = 1
	c := s.start(t, 5, 1)
	c.Channels, c.Timeout = "a,b", time.Second
	r, err := Idle(t.Context(), c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Counters.Established != 5 || r.Counters.Ready != 0 || r.Failures[account.ReasonSubscribe] != 5 {
		t.Errorf("%+v, failures %v", r.Counters, r.Failures)
	}
}

// A server that is no gateway is reported as one, and after the first attempts the run gives
// up.
func TestIdleNoGateway(t *testing.T) {
	tests := map[string]struct {
		transport plan.Transport
		answer    string // "": close at once; "-": never answer
		want      account.Reason
	}{
		"closes":         {plan.WebSocket, "", account.ReasonEarly},
		"silent":         {plan.WebSocket, "-", account.ReasonTimeout},
		"not HTTP":       {plan.WebSocket, "-ERR unknown command\r\n", account.ReasonNotHTTP},
		"HTTP/1.0":       {plan.WebSocket, "HTTP/1.0 404 Not Found\r\n\r\n", account.ReasonHTTP10},
		"HTTP/1.0 poll":  {plan.Poll, "HTTP/1.0 200 OK\r\n\r\n", account.ReasonHTTP10},
		"HTTP/1.0 sse":   {plan.SSE, "HTTP/1.0 200 OK\r\n\r\n", account.ReasonHTTP10},
		"TLS":            {plan.WebSocket, "\x15\x03\x03\x00\x02\x02\x16", account.ReasonNotHTTP},
		"web server":     {plan.WebSocket, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP 200"},
		"wrong accept":   {plan.WebSocket, "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: AAAA\r\n\r\n", account.ReasonAccept},
		"no upgrade":     {plan.WebSocket, "HTTP/1.1 101 X\r\n\r\n", account.ReasonUpgrade},
		"sse as text":    {plan.SSE, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", account.ReasonContentType},
		"poll no cursor": {plan.Poll, "HTTP/1.1 204 No Content\r\n\r\n", account.ReasonCursor},
		"poll no length": {plan.Poll, "HTTP/1.1 200 OK\r\n\r\n{}" + andClose, account.ReasonCursor},
		"redirect":       {plan.WebSocket, "HTTP/1.1 301 X\r\nLocation: https://push.example/v1/ws\r\nContent-Length: 0\r\n\r\n", "HTTP 301 to https://push.example/v1/ws"},
		"no content":     {plan.SSE, "HTTP/1.1 204 No Content\r\n\r\n", "HTTP 204"},
		"proxy by name":  {plan.SSE, "HTTP/1.1 404 X\r\nServer: nginx/1.26.3\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n", "HTTP 404 by nginx"},
		"proxy by form":  {plan.Poll, "HTTP/1.1 503 X\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n", "HTTP 503 by a proxy"},
		"gateway's own":  {plan.Poll, "HTTP/1.1 503 X\r\nVia: 1.1 edge\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\r\n", "HTTP 503"},
		"poll bad chunk": {plan.Poll, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", account.ReasonBody},
		"poll too long":  {plan.Poll, "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", account.ReasonBodySize},
		"bad frame": {plan.WebSocket, "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: YU3Fe9MMZmAkyPFY8SqqGXtI948=\r\n\r\n\x83\x00",
			"protocol: websocket: reserved opcode"},
		"refused": {plan.WebSocket, "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: YU3Fe9MMZmAkyPFY8SqqGXtI948=\r\n\r\n\x81\x23{\"type\":\"error\",\"code\":\"forbidden\"}",
			"error: forbidden"},
		"refused in words": {plan.WebSocket, "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: YU3Fe9MMZmAkyPFY8SqqGXtI948=\r\n\r\n\x81\x39{\"type\":\"error\",\"code\":\"forbidden\",\"message\":\"not \\\"a\\\"\"}",
			"error: forbidden: not \"a\""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := plan.DefaultConfig()
			c.URL, c.Transport = "http://"+answering(t, tt.answer), tt.transport
			c.Connections, c.InFlight, c.Timeout = 40, 4, 5*time.Second
			if tt.answer == "-" {
				c.Timeout = 200 * time.Millisecond
			}
			r, err := Idle(t.Context(), c, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if r.Good() || r.Failures[tt.want] != r.Counters.Failed || r.Counters.Failed == 0 || r.Counters.Ready != 0 {
				t.Errorf("failures %v, want only %q", r.Failures, tt.want)
			}
			if n := r.Counters; n.Established == 0 && (n.Untried == 0 || n.Attempted+n.Untried != 40) {
				t.Errorf("%d tried, %d not, of 40", n.Attempted, n.Untried)
			}
		})
	}
}

// andClose at the end of an answer closes the connection behind it.
const andClose = "<close>"

// andPause in an answer defers the rest to another read.
const andPause = "<pause>"

// answering listens, reads a request from each connection and says always the
// same.
func answering(t *testing.T, text string) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { ln.Close(); <-done })
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			c.Read(make([]byte, 4096))
			if text == "" {
				c.Close()
			} else if text != "-" {
				text, closes := strings.CutSuffix(text, andClose)
				for i, part := range strings.Split(text, andPause) {
					if i > 0 {
						time.Sleep(20 * time.Millisecond)
					}
					c.Write([]byte(part))
				}
				if closes {
					c.Close()
				}
			}
		}
	}()
	return ln.Addr().String()
}

func TestIdleRefusedConnection(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	c := plan.DefaultConfig()
	c.URL = "ws://" + ln.Addr().String()
	r, err := Idle(t.Context(), c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if n := r.Counters; n.Failed != r.Failures[account.ReasonRefused] || n.Failed+n.Untried != 1000 || n.Untried < 500 {
		t.Errorf("%+v, failures %v", n, r.Failures)
	}
}

// An interrupt ends the run with a partial result.
func TestIdleInterrupted(t *testing.T) {
	s := newScripted()
	c := s.start(t, 10, 1)
	c.Hold = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	r, err := Idle(ctx, c, Options{Progress: func(x result.Sample) {
		if x.Phase == result.PhaseHold {
			cancel()
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if !r.Interrupted || r.Good() || r.Counters.Ready != 10 || r.Counters.Lost != 0 || len(r.Series) == 0 {
		t.Errorf("interrupted %v: %q, %+v", r.Interrupted, r.Failed, r.Counters)
	}
}

func TestIdleNoProcess(t *testing.T) {
	s := newScripted()
	c := s.start(t, 10, 1)
	c.PID = 1 << 30
	_, err := Idle(t.Context(), c, Options{})
	if usage := (*plan.UsageError)(nil); !errors.As(err, &usage) || usage.Flag != "--pid" {
		t.Errorf("error %v", err)
	}
}

// Once the clients are up and their messages have arrived, no scratch is in use.
func TestScratchesGivenBack(t *testing.T) {
	for _, transport := range []plan.Transport{plan.WebSocket, plan.SSE, plan.Poll} {
		t.Run(string(transport), func(t *testing.T) {
			s := newScripted()
			c := s.start(t, 30, 5)
			c.Transport = transport
			limits, err := plan.ReadHostLimits()
			if err != nil {
				t.Fatal(err)
			}
			p, err := plan.New(t.Context(), c, limits)
			if err != nil {
				t.Fatal(err)
			}
			e, err := newCrowd(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			if err := e.ramp(t.Context(), c.Connections, 0); err != nil {
				t.Fatal(err)
			}
			used := -1
			for deadline := time.Now().Add(5 * time.Second); used != 0 && time.Now().Before(deadline); {
				got, err := e.collect()
				if err != nil {
					t.Fatal(err)
				}
				used = got.Scratches
			}
			if used != 0 {
				t.Errorf("%d scratches in use by idle clients", used)
			}
		})
	}
}

// Of a server that ends in the middle nothing is measured, least of all a CPU
// time below zero or a memory of nothing.
func TestServerEnds(t *testing.T) {
	t.Parallel()
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Wait()
	defer child.Process.Kill()
	s := newScripted()
	s.stall = func(n int) time.Duration {
		if n == 20 {
			child.Process.Kill() // nobody waits for it: a zombie, once the kernel gets to it
			stat := fmt.Sprintf("/proc/%d/stat", child.Process.Pid)
			for text := ""; !strings.Contains(text, ") Z "); {
				b, err := os.ReadFile(stat)
				if text = string(b); err != nil {
					t.Error(err)
					break
				}
			}
		}
		return 0
	}
	c := s.start(t, 4, 40)
	c.PID = child.Process.Pid
	r := mustFanout(t, s, c)
	r.Judge(mustSLOs(t, "rss<1GiB", "rss_per_conn<600B", "anon_per_conn<600B", "cpu_publishing<1", "cpu_per_delivery<1s", "cpu_per_handshake<1s", "missing==0"))
	for _, v := range r.SLOs {
		if want := v.Figure == "missing"; v.Measured != want {
			t.Errorf("%s: measured %v, %s", v.SLO, v.Measured, v.Text())
		}
	}
	if x := r.Server; !x.Unread || x.After.RSS != 0 || x.CPUPublishing != 0 || r.Fanout.ServerCPU != nil || len(r.Warnings) == 0 || !strings.Contains(r.Warnings[0], "it has ended") {
		t.Errorf("%+v: %q", x, r.Warnings)
	}
}

// TestIntervalsLoseNothing merges the intervals of a run and compares them with the run's own
// totals.
func TestIntervalsLoseNothing(t *testing.T) {
	s := newScripted()
	c := s.start(t, 5, 60)
	c.Rate = 50 // over a second: more than one interval
	merged := account.NewRecorder()
	intervals := 0
	r, err := fanout.with(t.Context(), c, Options{Interval: func(i result.Interval) {
		intervals++
		if !i.End.After(i.Start) {
			t.Errorf("an interval from %v to %v", i.Start, i.End)
		}
		i.Latencies.CopyTo(&merged)
	}}, s)
	if err != nil {
		t.Fatal(err)
	}
	if intervals < 2 {
		t.Errorf("%d intervals in %.1f s", intervals, r.Seconds)
	}
	for k, want := range map[int]account.Latency{
		account.OfHandshake: r.Connect.Handshake,
		account.OfReady:     r.Connect.Ready,
		account.OfDelivery:  r.Fanout.Due,
		account.OfSent:      r.Fanout.Real,
	} {
		if got := account.Summarize(merged[k]); want.Count == 0 || got != want {
			t.Errorf("%s: merged %+v, the run says %+v", account.LatencyNames[k], got, want)
		}
	}
}

// listenOn has the scripted server listen on another host, every one if that is empty, and returns
// its port, on which nobody else listens.
func (s *scripted) listenOn(t *testing.T, host string) (port string) {
	t.Helper()
	for range 20 {
		_, port, _ = net.SplitHostPort(gatewaytest.Address(t))
		ln, err := net.Listen("tcp", net.JoinHostPort(host, port))
		if errors.Is(err, syscall.EADDRINUSE) {
			continue // a client elsewhere has the port at 127.0.0.2, say
		}
		if err != nil {
			t.Fatal(err)
		}
		s.Listener.Close()
		s.Listener = ln
		return port
	}
	t.Fatal("no port is free at all addresses")
	return ""
}

// localhost is 127.0.0.1 and ::1: clients spread over the ones that take connections, also from
// other processes.
func TestLocalhost(t *testing.T) {
	needIPv6(t)
	tests := map[string]struct {
		host string
		want []uint64 // clients at each address, where there are several
	}{
		"IPv4": {"127.0.0.1", nil},
		"IPv6": {"::1", nil},
		"both": {"", []uint64{10, 10}},
	}
	for name, tt := range tests {
		for _, agents := range []int{0, 2} {
			s := newScripted()
			port := s.listenOn(t, tt.host)
			c := s.start(t, 20, 10)
			c.URL, c.Agents, c.Timeout = "ws://localhost:"+port, agents, time.Minute
			r := mustFanout(t, s, c)
			var got []uint64
			for _, a := range r.Addresses {
				got = append(got, a.Clients)
			}
			if !r.Good() || r.Counters.Clients != 20 || !slices.Equal(got, tt.want) {
				t.Errorf("%s, %d agents: %+v, addresses %+v, failed %q", name, agents, r.Counters, r.Addresses, r.Failed)
			}
			if r.Server == nil || r.Server.PID != os.Getpid() {
				t.Errorf("%s: the server is %+v", name, r.Server)
			}
		}
	}
}

func needIPv6(t *testing.T) {
	t.Helper()
	ln, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6 here:", err)
	}
	ln.Close()
}

// The source addresses are those of the target's family, and --src chooses the
// family where the name has both.
func TestSourceFamily(t *testing.T) {
	needIPv6(t)
	tests := map[string]struct{ sources, want string }{
		"IPv4":     {"127.0.0.5-127.0.0.6", "127.0.0.1:8080"},
		"IPv6":     {"::1", "[::1]:8080"},
		"both":     {"127.0.0.5,::1", "127.0.0.1:8080, [::1]:8080"},
		"a choice": {"", "127.0.0.1:8080, [::1]:8080"},
	}
	for name, tt := range tests {
		c := plan.DefaultConfig()
		c.URL, c.Sources = "ws://localhost:8080", tt.sources
		p, err := plan.New(t.Context(), c, plan.HostLimits{Descriptors: 20000, Ports: 28232})
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Target.String(); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
		for client := range uint32(8) {
			if from, to := p.Ends(client); from.IsValid() && from.Is4() != to.Addr().Is4() {
				t.Errorf("%s: from %v to %v", name, from, to)
			}
		}
	}
}

// A unix socket is a target as any other, and one whose listen queue is full is
// tried again, as TCP does by itself.
func TestSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gateway.sock")
	for _, url := range []string{"unix:" + path, "ws+unix:" + path + ":/v1/ws"} {
		s := newScripted()
		s.Listener.Close()
		s.Listener = listenNarrow(t, path)
		c := s.start(t, 60, 10)
		c.URL, c.InFlight, c.Timeout = url, 60, time.Minute
		r := mustFanout(t, s, c)
		if !r.Good() || r.Counters.Clients != 60 || r.Counters.Attempted != 60 {
			t.Errorf("%+v, failed %q", r.Counters, r.Failed)
		}
		if r.Server == nil || r.Server.PID != os.Getpid() {
			t.Errorf("the server is %+v", r.Server)
		}
		os.Remove(path)
	}
}

// listenNarrow listens on a unix socket with the shortest queue.
func listenNarrow(t *testing.T, path string) net.Listener {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), path)
	defer file.Close()
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	ln, err := net.FileListener(file)
	if err != nil {
		t.Fatal(err)
	}
	return ln
}
