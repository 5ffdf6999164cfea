package gateway_test

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/internal/gatewaytest"
	"github.com/pushgate/pushgate/internal/redistest"
)

func TestConnectionLimit(t *testing.T) {
	t.Parallel()
	const most, more = 10, 40
	in := start(t, func(c *gateway.Config) { c.Limits.Connections = most }).ready()
	var inside []*client
	for range most {
		inside = append(inside, in.subscribed("news"))
	}
	// All get a response, however many connect and whether they send anything or not.
	waits := make(map[string]bool)
	for i := range more {
		c, err := dialer.Dial("tcp", in.Addr())
		if isRejection(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(patience))
		if i%10 != 0 {
			io.WriteString(c, upgradeHead)
		}
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatalf("connection %d too many: %v", i, err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != 503 || !strings.Contains(string(body), `"too_many_connections"`) || !resp.Close {
			t.Fatalf("got %d %s, %v", resp.StatusCode, body, err)
		}
		waits[resp.Header.Get("Retry-After")] = true
		c.Close()
	}
	if !*gateway.TLSOfTests && len(waits) < 5 || waits[""] {
		t.Errorf("all are to come back after one of %v seconds", waits)
	}
	in.redis.Publish("news", 1)
	for _, c := range inside {
		c.expect("message")
	}
	for _, c := range inside[:3] {
		c.Close()
	}
	eventually(t, "three have left", func() bool { return in.totals().connections == most-3 })
	for range 3 {
		in.subscribed("news")
	}
	if n := in.metric(`gateway_rejects_total{reason="connections"}`); n != more {
		t.Errorf("%v connections counted as turned away, want %d", n, more)
	}
}

// Rejected clients that don't disconnect take no place from later ones.
func TestFreedSeatDuringAFlood(t *testing.T) {
	in := start(t, func(c *gateway.Config) { c.Limits.Connections = 2 }).ready()
	staying, leaving := in.subscribed("news"), in.subscribed("news")
	stop := make(chan struct{})
	var flood sync.WaitGroup
	for i := range 40 {
		flood.Go(func() {
			// Evenly spread over the time that each is borne with.
			time.Sleep(time.Duration(i) * gateway.RejectTicks * gateway.Tick / 40)
			for {
				select {
				case <-stop:
					return
				default:
				}
				c, err := dialer.Dial("tcp", in.Addr())
				if err != nil {
					t.Error(err)
					return
				}
				// The response, the end of the stream, and then silence until the gateway's linger
				// time is over.
				c.SetDeadline(time.Now().Add(patience))
				io.Copy(io.Discard, c)
				for err == nil {
					_, err = c.Write([]byte("x"))
					select {
					case <-stop:
						err = io.EOF
					case <-time.After(20 * time.Millisecond):
					}
				}
				c.Close()
			}
		})
	}
	eventually(t, "the flood is there", func() bool { return in.totals().rejects[reasons.RejectConnections] >= 40 })
	leaving.Close()
	var lucky *client
	eventually(t, "the seat is taken again", func() bool {
		c, _, err := websocket.DefaultDialer.Dial("ws://"+in.Addr()+"/v1/ws?channels=news", nil)
		if err != nil {
			return false
		}
		lucky = &client{Conn: c, t: t}
		return true
	})
	defer lucky.Close()
	lucky.expect("welcome")
	lucky.expect("subscribed")
	in.redis.Publish("news", 1)
	staying.expect("message")
	lucky.expect("message")
	close(stop)
	flood.Wait()
}

// fewFilesEnv makes the test binary a gateway with few file descriptors; its
// value is the URL of Redis. openFilesEnv is how many it has open for something
// else.
const (
	fewFilesEnv  = "GATEWAY_TEST_FEW_FILES"
	openFilesEnv = "GATEWAY_TEST_OPEN_FILES"
)

// fewFiles is the limit of that process.
const fewFiles = 256

// serveFewFiles is the process' main: it says where it listens and serves
// until its input ends.
func serveFewFiles(redis string) error {
	limit := syscall.Rlimit{Cur: fewFiles, Max: fewFiles}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	open, err := strconv.Atoi(os.Getenv(openFilesEnv))
	if err != nil {
		return err
	}
	for range open {
		f, err := os.Open(os.DevNull)
		if err != nil {
			return err
		}
		defer f.Close()
	}
	cfg := gateway.DefaultConfig()
	cfg.Listen, cfg.Admin.Listen, cfg.Drain.Timeout = "127.0.0.1:0", "127.0.0.1:0", 0
	cfg.Shards = 2
	cfg.Redis.URL = redis
	gateway.Secured(&cfg)
	srv, err := gateway.New(cfg, gateway.Options{Log: slog.New(slog.NewTextHandler(os.Stderr, nil)), Node: "few"})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		fmt.Println(cmp.Or(srv.Addr(), srv.TLSAddr()), srv.AdminAddr())
		io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	return srv.Run(ctx)
}

// fewFilesGateway starts that process and returns its addresses, and a
// function that ends it and returns its log.
func fewFilesGateway(t *testing.T, redis string, open int) (addr, admin string, end func() string) {
	t.Helper()
	p := startProcess(t, fewFilesEnv+"="+redis, openFilesEnv+"="+strconv.Itoa(open))
	if _, err := fmt.Fscan(p.stdout, &addr, &admin); err != nil {
		t.Fatalf("the gateway does not start: %v", err)
	}
	listensAt(t, addr)
	return addr, admin, p.end
}

// A thousand clients want to connect to a gateway that may open 256 files.
func TestFewFileDescriptors(t *testing.T) {
	gateway.InTheClear(t, gateway.Flooded)
	for name, tc := range map[string]struct {
		open int    // files that are not the gateway's
		most string // outcome of most rejected clients
		knob string // that the log must name
	}{
		"at the limit":   {0, "503", "limits.connections"},
		"a few left":     {30, "503", "LimitNOFILE"},
		"none left over": {60, "closed", "LimitNOFILE"},
	} {
		t.Run(name, func(t *testing.T) { floodFewFiles(t, tc.open, tc.most, tc.knob) })
	}
}

func floodFewFiles(t *testing.T, open int, most, knob string) {
	redis := redistest.Start(t)
	addr, admin, end := fewFilesGateway(t, redis.URL(), open)
	dial := func() (*client, error) {
		c, _, err := websocket.DefaultDialer.Dial("ws://"+addr+"/v1/ws?channels=news", nil)
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() { c.Close() })
		return &client{Conn: c, t: t}, nil
	}
	in := func() *client {
		t.Helper()
		c, err := dial()
		if err != nil {
			t.Fatal(err)
		}
		c.expect("welcome")
		c.expect("subscribed")
		return c
	}
	var inside []*client
	for range 50 {
		inside = append(inside, in())
	}

	outcomes := make(chan string)
	done := make(chan struct{}) // closed when all have their outcome
	begin := time.Now()
	var flood sync.WaitGroup
	for range 1000 {
		flood.Go(func() {
			var resp *http.Response
			c, err := dialer.Dial("tcp", addr)
			if err == nil {
				defer c.Close()
				c.SetDeadline(time.Now().Add(patience))
				io.WriteString(c, upgradeHead)
				resp, err = http.ReadResponse(bufio.NewReader(c), nil)
			}
			switch {
			case isRejection(err):
				outcomes <- "503"
			case err == nil && resp.StatusCode == 503 && resp.Header.Get("Retry-After") != "":
				outcomes <- "503"
			case err == nil:
				outcomes <- resp.Status
			case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
				outcomes <- "closed"
			default:
				outcomes <- err.Error()
			}
			<-done
		})
	}
	counts := make(map[string]int)
	published := 0
	for n := range 1000 {
		counts[<-outcomes]++
		if n%50 == 0 {
			redis.Publish("news", published)
			published++
		}
	}
	t.Logf("after %v: %v", time.Since(begin).Round(time.Millisecond), counts)
	let := counts["101 Switching Protocols"]
	if let == 0 || counts[most] < (1000-let)/2 || let+counts["503"]+counts["closed"] != 1000 {
		t.Errorf("outcomes: %v", counts)
	}
	if took := time.Since(begin); took > patience/2 {
		t.Errorf("the last one waited for %v", took)
	}
	for _, c := range inside {
		for want := range published {
			if e := c.expect("message"); string(e.Data) != fmt.Sprint(want) {
				t.Fatalf("one of the first got %+v in place of %d", e, want)
			}
		}
	}
	close(done)
	flood.Wait()

	eventually(t, "the flood has drained away", func() bool {
		r, err := gatewaytest.Once.Get("http://" + admin + "/metrics")
		if err != nil {
			return false
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		return err == nil && strings.Contains(string(body), "\ngateway_connections 50\n")
	})
	inside = append(inside, in())
	redis.Publish("news", "after")
	for _, c := range inside {
		if e := c.expect("message"); string(e.Data) != `"after"` {
			t.Fatalf("got %+v", e)
		}
		c.Close()
	}
	log := end()
	if !strings.Contains(log, knob) {
		t.Errorf("the log doesn't name %s:\n%s", knob, log)
	}
	if n := strings.Count(log, "level=WARN"); n > 30 {
		t.Errorf("%d warnings for one flood", n)
	}
}
