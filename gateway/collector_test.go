package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pushgate/pushgate/gateway"
)

var longCollector = flag.Bool("collector.long", false, "measure the loops' lag during collections with a million connections")

// crowdEnv makes the test binary a gateway with many connections; its value is
// how many of them have no socket.
const crowdEnv = "GATEWAY_TEST_CROWD"

// lags are the delays of posts to a gateway's loops.
type lags struct {
	Quiet, P99, Max time.Duration // p99 without a collection; during collections
	Cycles          uint32        // collections
	Took            time.Duration // the median one
}

// serveCrowd is the process' main: it says where it listens, and measures for
// each line of its input.
func serveCrowd(text string) error {
	var without int
	if _, err := fmt.Sscan(text, &without); err != nil {
		return err
	}
	cfg := gateway.DefaultConfig()
	cfg.Listen, cfg.Admin.Listen = "127.0.0.1:0", ""
	cfg.Redis.URL = "redis://127.0.0.1:1" // nothing listens there
	srv, err := gateway.New(cfg, gateway.Options{Log: slog.New(slog.NewTextHandler(os.Stderr, nil)), Node: "crowd"})
	if err != nil {
		return err
	}
	runtime.GOMAXPROCS(srv.Loops() + 2)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		fmt.Println(srv.Addr())
		srv.Crowd(without)
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			json.NewEncoder(os.Stdout).Encode(measureLags(srv))
		}
		stop()
	}()
	return srv.Run(ctx)
}

// measureLags posts to each loop in turn, and collects now and then.
func measureLags(srv *gateway.Server) (l lags) {
	var collecting atomic.Bool
	stop := make(chan struct{})           // closed here
	stopped := make(chan []time.Duration) // sent to by the collecting goroutine, once
	go func() {
		var took []time.Duration
		for {
			select {
			case <-stop:
				stopped <- took
				return
			case <-time.After(100 * time.Millisecond):
			}
			begin := time.Now()
			collecting.Store(true)
			runtime.GC()
			collecting.Store(false)
			took = append(took, time.Since(begin))
		}
	}()
	var quiet, during []time.Duration
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Microsecond) {
		for n := range srv.Loops() {
			before := collecting.Load()
			begin := time.Now()
			srv.LoopTurn(n)
			if lag := time.Since(begin); before || collecting.Load() {
				during = append(during, lag)
			} else {
				quiet = append(quiet, lag)
			}
		}
	}
	close(stop)
	took := <-stopped
	slices.Sort(took)
	slices.Sort(quiet)
	slices.Sort(during)
	return lags{
		Quiet: quiet[len(quiet)*99/100], P99: during[len(during)*99/100], Max: during[len(during)-1],
		Cycles: uint32(len(took)), Took: took[len(took)/2],
	}
}

// A million connections, 19,000 of them with a client, don't make Go's collector delay the loops:
// during a collection a post to a loop, like any event of a client, runs within milliseconds.
func TestLoopLagDuringCollections(t *testing.T) {
	if !*longCollector {
		t.Skip("make bench-collector runs it")
	}
	const clients, all = 19_000, 1_000_000
	p := startProcess(t, fmt.Sprintf("%s=%d", crowdEnv, all-clients))
	answers := bufio.NewReader(p.stdout)
	addr, err := answers.ReadString('\n')
	if err != nil {
		t.Fatalf("the gateway does not start: %v: %s", err, p.end())
	}
	for range clients {
		c, err := dialer.Dial("tcp", strings.TrimSpace(addr))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, upgradeHead); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(make([]byte, 4<<10)); err != nil || n == 0 {
			t.Fatalf("no answer: %v", err)
		}
	}
	fmt.Fprintln(p.stdin, "measure")
	var l lags
	if err := json.NewDecoder(answers).Decode(&l); err != nil {
		t.Fatalf("%v: %s", err, p.end())
	}
	fmt.Printf("%d connections, %d of them with a client; %d collections of %v\nloop lag: p99 %v without a collection; p99 %v, most %v during one\n",
		all, clients, l.Cycles, l.Took, l.Quiet, l.P99, l.Max)
	if l.P99 > 10*time.Millisecond {
		t.Errorf("p99 of the loops' lag during collections is %v, want at most 10 ms", l.P99)
	}
}
