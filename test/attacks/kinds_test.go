package attacks

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/pushgate/pushgate/internal/gatewaytest"
	"github.com/pushgate/pushgate/internal/redistest"
)

// Hostile clients of every kind at once don't make good ones wait, nor lose anything, nor keep
// the gateway from reporting its health. Good clients of a second gateway, which nobody
// attacks, show how much of the delay is the machine's.
func TestAttackOfEveryKind(t *testing.T) {
	if testing.Short() {
		t.Skip("measures latency, which the race detector distorts")
	}
	attackers, goods, during := 200, 100, 4*time.Second
	if *long {
		attackers, goods, during = 2000, 1000, *attackFor
	}
	redis := redistest.Start(t)
	rules := `[{"match":["hot.latest"],"slow":"latest"},{"match":["hot.oldest"],"slow":"drop_oldest"}]`
	secure := gatewaytest.Address(t)
	g := startGateway(t, redis, redis.URL(), "--channels="+rules, "--tls.self_signed", "--tls.listen", secure)
	for range 1000 {
		if err := redis.Client.XAdd(context.Background(), &goredis.XAddArgs{Stream: "{push:large}:log", Values: []any{"data", strings.Repeat("x", 60_000)}}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	o := goodClients(t, g, "good", goods)
	defer o.close()
	beside := goodClients(t, startGateway(t, redis, redis.URL()), "beside", goods/5)
	defer beside.close()
	for _, o := range []*good{o, beside} {
		eventually(t, "the good clients are there", func() bool { return o.g.Metric("gateway_subscriptions") == float64(len(o.got)) })
	}

	if *long {
		// A collection here would keep the machine busy for 100 ms.
		defer debug.SetGCPercent(debug.SetGCPercent(-1))
		defer debug.SetMemoryLimit(debug.SetMemoryLimit(2 << 30))
		elsewhere(t, os.Getpid(), redis.PID())
	}
	stop := make(chan struct{}) // closed when the publishing is over
	var meanwhile sync.WaitGroup
	meanwhile.Go(func() { hot(g, stop) })
	calm := o.publish(goods, during/6)

	names := slices.DeleteFunc(slices.Sorted(maps.Keys(kinds)), func(name string) bool { return !regexp.MustCompile(*only).MatchString(name) })
	came := assaulted(t, assault{Addr: g.Public, TLS: secure, Clients: attackers, Kinds: names})
	defer came()
	var worst, worstBeside time.Duration
	var control [2]delays
	meanwhile.Go(func() { worst = health(t, g, stop) })
	meanwhile.Go(func() { worstBeside = health(t, beside.g, stop) })
	meanwhile.Go(func() { control = beside.publish(len(beside.got), during) })
	if *profile != "" {
		meanwhile.Go(func() { g.profile(*profile, during) })
	}
	got := o.publish(goods, during)
	close(stop)
	meanwhile.Wait()
	ends := g.Metric("gateway_closes_total{")
	n := came()

	streams, polls := got[0], got[1]
	report(t, "kinds", fmt.Sprintf("```text\n%d hostile clients of %d kinds for %v: they came %d times, and %.0f connections have ended\n"+
		"  %d good clients got %d messages of %d\n"+
		"  WebSockets and event streams: %v\n    before the attack: %v\n    of a gateway beside it that nobody attacks: %v\n"+
		"  polls, which are answered after %v: %v\n    before the attack: %v\n    of a gateway beside it: %v\n"+
		"  /healthz on a connection of its own: at worst %.1f ms; of the gateway beside it: %.1f ms\n  resident: %s\n```\n",
		attackers, len(names), during, n, ends, goods, len(streams)+len(polls), int(during.Seconds())*goods,
		streams, calm[0], control[0], coalesce, polls, calm[1], control[1], ms(worst), ms(worstBeside), mib(g.memory())))
	if !*long {
		return // the machine has other tests to run
	}
	if p99 := streams.of(99); p99 > 5*time.Millisecond {
		t.Errorf("p99 of good clients is %v", p99)
	}
	if p99 := polls.of(99); p99 > coalesce+5*time.Millisecond {
		t.Errorf("p99 of polls is %v", p99)
	}
	if worst > 50*time.Millisecond {
		t.Errorf("/healthz took %v", worst)
	}
}

// elsewhere has processes take the last CPU whenever they want it, as if each had a machine of
// its own: the time that good clients and Redis wait for one isn't the gateway's doing.
func elsewhere(t testing.TB, pids ...int) {
	t.Helper()
	for _, pid := range pids {
		for _, command := range [][]string{
			{"chrt", "--all-tasks", "--rr", "--pid", "1", strconv.Itoa(pid)},
			{"taskset", "--all-tasks", "--pid", "--cpu-list", lastCPU(), strconv.Itoa(pid)},
		} {
			if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
				t.Logf("good clients and Redis wait for the CPU as all do: %v: %s", err, out)
			}
		}
	}
}

// lastCPU is shared by all processes that would run on other machines than the gateway. Linux
// moves no waiting thread of the gateway to a CPU that is busy with hostile clients, though
// these give way to all others: it would wait for milliseconds beside a CPU that it could have
// at once.
func lastCPU() string { return strconv.Itoa(runtime.NumCPU() - 1) }

// coalesce is how long the gateway delays a poll's answer for further messages.
const coalesce = 5 * time.Millisecond

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// hot publishes to the channels that deaf clients have.
func hot(g *gateway, stop <-chan struct{}) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		pipe := g.Redis.Client.Pipeline()
		for range 5 {
			pipe.Publish(context.Background(), "push:hot", "x")
			pipe.Publish(context.Background(), "push:hot.latest", strings.Repeat("x", 200))
			pipe.Publish(context.Background(), "push:hot.oldest", strings.Repeat("x", 1000))
		}
		if _, err := pipe.Exec(context.Background()); err != nil {
			g.t.Error(err)
			return
		}
	}
}

// health asks for the gateway's health over and over and returns the longest time
// that took.
func health(t testing.TB, g *gateway, stop <-chan struct{}) (worst time.Duration) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return worst
		case <-tick.C:
		}
		begin := time.Now()
		if _, _, err := gatewaytest.Request("GET", "http://"+g.Public+"/healthz", ""); err != nil {
			t.Error(err)
			return worst
		}
		worst = max(worst, time.Since(begin))
	}
}
