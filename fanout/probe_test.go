package fanout

import (
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pushgate/pushgate/fanout/message"
)

func TestProbeDetectsAStall(t *testing.T) {
	server := startRedis(t)
	c := testConfig(server.URL())
	c.ProbeInterval = 200 * time.Millisecond
	b := runBroker(t, c)
	r := newRecorder()
	join(b, "news", r)
	r.wait(t, "news", 1)
	waitReady(t, b)

	server.Signal(syscall.SIGSTOP)
	stopped := time.Now()
	waitNotReady(t, b)
	t.Logf("noticed %v after the stop, at an interval of %v", time.Since(stopped), c.ProbeInterval)
	if n := b.Stats().ProbesMissed; n < missedProbes {
		t.Errorf("%d probes missed, want at least %d", n, missedProbes)
	}
	if err := b.Ready(); !strings.Contains(err.Error(), "redis connection") {
		t.Errorf("reason: %v", err)
	}

	server.Signal(syscall.SIGCONT)
	waitReady(t, b)
	server.publish("news", "again")
	r.wait(t, "news", 3)
	if got := r.texts("news"); !slices.Equal(got, []string{"joined", "gap:broker", "again"}) {
		t.Fatalf("got %v", got)
	}
}

// Received messages are no proof that probes return.
func TestProbesCountAlone(t *testing.T) {
	server := startRedis(t)
	server.Do("ACL", "SETUSER", "deaf", "on", ">pw", "~*", "&*", "+@all", "-publish")
	b := runBroker(t, testConfig("redis://deaf:pw@"+server.Addr))
	r := newRecorder()
	join(b, "news", r)
	eventually(t, "three probes missed", func() bool {
		server.publish("news", "x")
		err := b.Ready()
		return err != nil && strings.Contains(err.Error(), "3 probes did not come back") &&
			strings.Contains(err.Error(), "NOPERM")
	})
	if len(r.texts("news")) < 2 {
		t.Error("no message came in spite of it: the test did not test")
	}
}

// Reads that take all connections for commands don't make the server seem dead.
func TestProbesDontWaitForCommands(t *testing.T) {
	server := startRedis(t)
	b := runBroker(t, testConfig(server.URL()+"?pool_size=1"))
	waitReady(t, b)
	busy := b.servers.Client.(*redis.Client).Conn()
	defer busy.Close()
	if err := busy.Ping(t.Context()).Err(); err != nil { // it has the connection now
		t.Fatal(err)
	}
	before := server.Calls("publish")
	eventually(t, "probes go on", func() bool { return server.Calls("publish") >= before+3*missedProbes })
}

// A server that takes subscriptions and refuses reads, such as a replica without
// its master, makes no channel live.
func TestRefusedReadsAreAnOutage(t *testing.T) {
	server := startRedis(t, "--replica-serve-stale-data", "no")
	server.Do("REPLICAOF", "127.0.0.1", "1")
	c := testConfig(server.URL())
	c.Connections, c.ProbeInterval = 1, 100*time.Millisecond
	b := runBroker(t, c)
	waitReady(t, b)
	r := newRecorder()
	join(b, "news", r)
	eventually(t, "the reason is known", func() bool {
		return b.Ready() != nil && strings.Contains(b.Ready().Error(), "MASTERDOWN")
	})
	server.Do("REPLICAOF", "NO", "ONE")
	waitReady(t, b)
	r.wait(t, "news", 1)
}

func TestProbesStayApart(t *testing.T) {
	server := startRedis(t)
	b := runBroker(t, testConfig(server.URL()))
	waitReady(t, b)
	for _, l := range b.links {
		if n := server.subscribers(l.probeName); n != 1 {
			t.Errorf("%d subscribers of %q, want 1", n, l.probeName)
		}
		if message.ValidChannel(strings.TrimPrefix(l.probeName, "push:")) == nil {
			t.Errorf("a client can name %q", l.probeName)
		}
	}
}
