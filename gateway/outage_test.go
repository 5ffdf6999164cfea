package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/internal/redistest"
)

// comeAndGo has clients resume a stream each of two channels, one of them the
// client's own, and leave as soon as they are let in.
func (in *instance) comeAndGo(round, clients int, position string) {
	in.t.Helper()
	var all sync.WaitGroup
	for first := range 20 {
		all.Go(func() {
			for i := first; i < clients; i += 20 {
				path := fmt.Sprintf("?channels=shared,own.%d.%d&cursor=%s", round, i, position)
				request := get("/v1/sse" + path)
				if i%2 == 0 {
					request = strings.Replace(upgradeHead, "/v1/ws", "/v1/ws"+path, 1)
				}
				c, err := dialer.Dial("tcp", in.Addr())
				if err != nil {
					in.t.Error(err)
					return
				}
				c.SetDeadline(time.Now().Add(patience))
				io.WriteString(c, request)
				if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || resp.StatusCode > 200 {
					in.t.Errorf("%v, %v", resp, err)
				}
				c.Close()
			}
		})
	}
	all.Wait()
	eventually(in.t, "they are gone", func() bool { return in.totals().connections == 1 })
}

// A thousand clients that connect with a position and disconnect again, over and over, while Redis
// can't replay, leave nothing behind. The one that waits gets everything.
func TestOutageOfRedisWithClientsInALoop(t *testing.T) {
	const clients, rounds = 1000, 4
	for name, tc := range map[string]struct {
		probe      time.Duration
		begin, end func(*redistest.Server)
		forgotten  bool // the broker forgets channels meanwhile
	}{
		"it is gone": {time.Second, (*redistest.Server).Kill, (*redistest.Server).Start, true},
		"it hangs, and is still believed in": {time.Minute,
			func(s *redistest.Server) { s.Signal(syscall.SIGSTOP) }, func(s *redistest.Server) { s.Signal(syscall.SIGCONT) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			redis := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
			in := startWith(t, redis, nil, func(c *fanout.Config) { c.ProbeInterval, c.Linger = tc.probe, 50*time.Millisecond }).ready()
			ids := durable(t, redis, "shared", 0, 10)
			first := in.subscribed("shared") // the channel is live
			tc.begin(redis)
			if tc.forgotten {
				eventually(t, "it's noticed", func() bool { return in.Ready() != nil })
			}
			stay := in.dial("/v1/ws")
			stay.expect("welcome")
			stay.write(fmt.Sprintf(`{"type":"subscribe","channel":"shared","since":%q}`, ids[4]))
			stay.write(`{"type":"ping"}`)
			stay.expect("pong")
			first.Close()

			var before runtime.MemStats
			goroutines := 0
			for round := range rounds {
				in.comeAndGo(round, clients, ids[0])
				// Two shards keep 64 each that they haven't looked for yet.
				if k := in.Kept(); k.Waiting+k.CatchingUp > 140 || k.Joins > 2 {
					t.Fatalf("round %d: for one client %+v are kept", round, k)
				}
				if round > 0 {
					continue
				}
				// The first round leaves buffers and tables for reuse.
				runtime.GC()
				runtime.ReadMemStats(&before)
				goroutines = runtime.NumGoroutine()
			}
			if tc.forgotten {
				eventually(t, "the broker has forgotten their channels", func() bool { return in.broker.Stats().Channels == 1 })
			}
			var after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&after)
			grown := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / ((rounds - 1) * clients)
			t.Logf("%d bytes a client, %d goroutines before and %d after", grown, goroutines, runtime.NumGoroutine())
			if tc.forgotten && grown > 100 {
				t.Errorf("each client has left %d bytes", grown)
			}
			if n := runtime.NumGoroutine(); n > goroutines+10 {
				t.Errorf("%d goroutines, %d before", n, goroutines)
			}

			tc.end(redis)
			if e := stay.expect("subscribed"); e.Channel != "shared" {
				t.Errorf("got %+v", e)
			}
			for _, want := range ids[5:] {
				if e := stay.expect("message"); e.ID != want {
					t.Fatalf("got %+v in place of %s", e, want)
				}
			}
		})
	}
}
