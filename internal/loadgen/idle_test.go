package loadgen

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"
)

func TestIdle(t *testing.T) {
	s := newScripted()
	c := s.start(t, 50, 1)
	c.Sources = "127.0.0.2-127.0.0.4"
	c.PID = 0
	var samples []Sample
	r, err := Idle(t.Context(), c, Options{Command: []string{"loadgen", "idle"}, Progress: func(x Sample) { samples = append(samples, x) }})
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

// Clients that don't come up are counted by reason, the others are kept.
func TestIdleRefused(t *testing.T) {
	s := newScripted()
	s.refuse = func(client int) int { return map[int]int{3: 503, 4: 503, 9: 404}[client] }
	r, err := Idle(t.Context(), s.start(t, 20, 1), Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := tally{"HTTP 503": 2, "HTTP 404": 1}
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
	if r.Counters.Established != 5 || r.Counters.Ready != 0 || r.Failures[ReasonSubscribe] != 5 {
		t.Errorf("%+v, failures %v", r.Counters, r.Failures)
	}
}

// What is no gateway is told by name, and after the first attempts the run
// gives up.
func TestIdleNoGateway(t *testing.T) {
	tests := map[string]struct {
		transport Transport
		answer    string // "": close at once; "-": never answer
		want      Reason
	}{
		"closes":         {WebSocket, "", ReasonEarly},
		"silent":         {WebSocket, "-", ReasonTimeout},
		"not HTTP":       {WebSocket, "-ERR unknown command\r\n", ReasonNotHTTP},
		"HTTP/1.0":       {WebSocket, "HTTP/1.0 404 Not Found\r\n\r\n", ReasonHTTP10},
		"HTTP/1.0 poll":  {Poll, "HTTP/1.0 200 OK\r\n\r\n", ReasonHTTP10},
		"HTTP/1.0 sse":   {SSE, "HTTP/1.0 200 OK\r\n\r\n", ReasonHTTP10},
		"TLS":            {WebSocket, "\x15\x03\x03\x00\x02\x02\x16", ReasonNotHTTP},
		"web server":     {WebSocket, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP 200"},
		"wrong accept":   {WebSocket, "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: AAAA\r\n\r\n", ReasonAccept},
		"no upgrade":     {WebSocket, "HTTP/1.1 101 X\r\n\r\n", ReasonUpgrade},
		"sse as text":    {SSE, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", ReasonContentType},
		"poll no cursor": {Poll, "HTTP/1.1 204 No Content\r\n\r\n", ReasonCursor},
		"poll no length": {Poll, "HTTP/1.1 200 OK\r\n\r\n{}" + andClose, ReasonCursor},
		"redirect":       {WebSocket, "HTTP/1.1 301 X\r\nLocation: https://push.example/v1/ws\r\nContent-Length: 0\r\n\r\n", "HTTP 301 to https://push.example/v1/ws"},
		"no content":     {SSE, "HTTP/1.1 204 No Content\r\n\r\n", "HTTP 204"},
		"proxy by name":  {SSE, "HTTP/1.1 404 X\r\nServer: nginx/1.26.3\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n", "HTTP 404 by nginx"},
		"proxy by form":  {Poll, "HTTP/1.1 503 X\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n", "HTTP 503 by a proxy"},
		"gateway's own":  {Poll, "HTTP/1.1 503 X\r\nVia: 1.1 edge\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\r\n", "HTTP 503"},
		"poll bad chunk": {Poll, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", ReasonBody},
		"poll too long":  {Poll, "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", ReasonBodySize},
		"bad frame": {WebSocket, "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: " + webSocketAccept + "\r\n\r\n\x83\x00",
			"protocol: websocket: reserved opcode"},
		"refused": {WebSocket, "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: " + webSocketAccept + "\r\n\r\n\x81\x23{\"type\":\"error\",\"code\":\"forbidden\"}",
			"error: forbidden"},
		"refused in words": {WebSocket, "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: " + webSocketAccept + "\r\n\r\n\x81\x39{\"type\":\"error\",\"code\":\"forbidden\",\"message\":\"not \\\"a\\\"\"}",
			"error: forbidden: not \"a\""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := DefaultConfig()
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

// andPause in an answer has what follows come in another read.
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
	c := DefaultConfig()
	c.URL = "ws://" + ln.Addr().String()
	r, err := Idle(t.Context(), c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if n := r.Counters; n.Failed != r.Failures[ReasonRefused] || n.Failed+n.Untried != 1000 || n.Untried < 500 {
		t.Errorf("%+v, failures %v", n, r.Failures)
	}
}

// An interrupt ends the run with what there is.
func TestIdleInterrupted(t *testing.T) {
	s := newScripted()
	c := s.start(t, 10, 1)
	c.Hold = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	r, err := Idle(ctx, c, Options{Progress: func(x Sample) {
		if x.Phase == PhaseHold {
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
	if usage := (*UsageError)(nil); !errors.As(err, &usage) || usage.Flag != "--pid" {
		t.Errorf("error %v", err)
	}
}

// An idle client has a budget of 200 bytes; it has no scratch and no pointers.
func TestClientSize(t *testing.T) {
	if n := unsafe.Sizeof(client{}); n != 16 {
		t.Errorf("a client has %d bytes, want 16", n)
	}
}

func TestClientMemory(t *testing.T) {
	const n = 1_000_000
	c := DefaultConfig()
	c.Connections, c.Channels = n, "news,user.%i"
	p, err := newPlan(t.Context(), c, hostLimits{1 << 20, 1 << 15})
	if err != nil {
		t.Fatal(err)
	}
	before := heapInUse()
	e, err := newEngine(p, newClock(0), newSignals())
	if err != nil {
		t.Fatal(err)
	}
	defer e.closeLoops()
	each := float64(heapInUse()-before) / n
	t.Logf("%.1f B for a client with two subscriptions, of %d clients", each, n)
	if each > 40 {
		t.Errorf("%.1f B for a client", each)
	}
	runtime.KeepAlive(e)
}

// Once the clients are up and their messages have come, no scratch is in use.
func TestScratchesGivenBack(t *testing.T) {
	for _, transport := range []Transport{WebSocket, SSE, Poll} {
		t.Run(string(transport), func(t *testing.T) {
			s := newScripted()
			c := s.start(t, 30, 5)
			c.Transport = transport
			limits, err := readHostLimits()
			if err != nil {
				t.Fatal(err)
			}
			p, err := newPlan(t.Context(), c, limits)
			if err != nil {
				t.Fatal(err)
			}
			e, err := newCrowd(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			defer e.close()
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

func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
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
