package fanout

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pushgate/pushgate/fanout/internal/upstream"
	"github.com/pushgate/pushgate/internal/redistest"
)

// hearControls has a broker listen to commands until the test ends.
func hearControls(t testing.TB, b *Broker) <-chan string {
	heard := make(chan string, 1000)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.Controls(ctx, func(command string) { heard <- command }, func(err error) { t.Log(err) })
	}()
	t.Cleanup(func() { cancel(); <-done })
	return heard
}

// runNode runs a broker of a name until the test ends.
func runNode(t testing.TB, c Config, name string) *Broker {
	t.Helper()
	b, stop := startBroker(t, c, name)
	t.Cleanup(stop)
	return b
}

// Nodes know of each other by their beats. One that ends is forgotten at once,
// one that dies when it has missed three.
func TestBeat(t *testing.T) {
	server := startRedis(t)
	a := runNode(t, testConfig(server.URL()), "a")
	b := runNode(t, testConfig(server.URL()), "b")
	beat := func(x *Broker, says string, want map[string]string) {
		t.Helper()
		if got, err := x.Beat(t.Context(), says); err != nil || !maps.Equal(got, want) {
			t.Fatalf("%s hears %v, %v, want %v", x.Node(), got, err, want)
		}
	}
	beat(a, "1", map[string]string{"a": "1"})
	beat(b, "2", map[string]string{"a": "1", "b": "2"})
	beat(a, "3", map[string]string{"a": "3", "b": "2"})
	if n := server.Calls("evalsha"); n != 3 {
		t.Errorf("%d calls for 3 beats", n)
	}
	score := server.Client.ZScore(t.Context(), "{push:*}:nodes", "a").Val()
	if d := time.Since(time.UnixMilli(int64(score))); d < -time.Second || d > time.Minute {
		t.Errorf("the last beat was %v ago", d)
	}
	server.Client.ZAdd(t.Context(), "{push:*}:nodes", redis.Z{Score: score - 16_000, Member: "a"})
	beat(b, "4", map[string]string{"b": "4"})
	// It was held up and isn't dead.
	beat(a, "5", map[string]string{"a": "5", "b": "4"})
	if err := b.Retire(t.Context()); err != nil {
		t.Fatal(err)
	}
	beat(a, "6", map[string]string{"a": "6"})
	if err := a.Retire(t.Context()); err != nil {
		t.Fatal(err)
	}
	if keys := server.Client.Keys(t.Context(), "*").Val(); len(keys) > 0 {
		t.Errorf("%v are left", keys)
	}
}

// Every node hears a command, also after its connection was lost.
func TestControls(t *testing.T) {
	server := startRedis(t)
	a := runNode(t, testConfig(server.URL()), "a")
	b := runNode(t, testConfig(server.URL()), "b")
	heard := []<-chan string{hearControls(t, a), hearControls(t, b)}
	bothHear := func() {
		t.Helper()
		for _, ch := range heard {
			eventually(t, "a command is heard", func() bool {
				if err := a.Control(t.Context(), "do"); err != nil {
					t.Fatal(err)
				}
				select {
				case command := <-ch:
					return command == "do"
				default:
					return false
				}
			})
		}
	}
	bothHear()
	server.Do("CLIENT", "KILL", "TYPE", "pubsub")
	for _, ch := range heard {
		for len(ch) > 0 {
			<-ch
		}
	}
	bothHear()
}

// A slot that moves to another server takes the subscribers to commands along.
func TestControlsOfACluster(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3)
	b := runNode(t, testConfig(cluster.URL()), "a")
	waitReady(t, b)
	heard := hearControls(t, b)
	hears := func() {
		t.Helper()
		eventually(t, "a command is heard", func() bool { _ = b.Control(t.Context(), "do"); return len(heard) > 0 })
	}
	hears()
	from := cluster.Owner("*control")
	to := cluster.Masters[(slices.Index(cluster.Masters, from)+1)%3]
	cluster.Move(upstream.Slot("push:*control"), from, to)
	eventually(t, "the new owner has its listener", func() bool {
		return to.Client.PubSubShardNumSub(t.Context(), "push:*control").Val()["push:*control"] == 1
	})
	for len(heard) > 0 {
		<-heard
	}
	hears()
}

// The embedded server knows its one node.
func TestEmbeddedFleet(t *testing.T) {
	c := testConfig("")
	c.Embedded = "127.0.0.1:0"
	b := runNode(t, c, "a")
	waitReady(t, b)
	heard := hearControls(t, b)
	nodes, err := b.Beat(t.Context(), "here")
	if err != nil || !slices.Equal(slices.Collect(maps.Values(nodes)), []string{"here"}) {
		t.Errorf("the nodes is %v, %v", nodes, err)
	}
	eventually(t, "a command is heard", func() bool { return b.Control(t.Context(), "do") == nil && len(heard) > 0 })
	if err := b.Retire(t.Context()); err != nil {
		t.Error(err)
	}
}

// A missing right is reported, and nothing else suffers.
func TestFleetWithoutRights(t *testing.T) {
	server := startRedis(t)
	server.Do("ACL", "SETUSER", "gateway", "on", ">pw", "~*", "&*", "+@all", "-zadd")
	b := runBroker(t, testConfig("redis://gateway:pw@"+server.Addr))
	if _, err := b.Beat(t.Context(), "here"); !Refused(err) {
		t.Errorf("a beat without its rights: %v", err)
	}
	waitReady(t, b)
}
