package fanout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pushgate/pushgate/fanout/internal/upstream"
	"github.com/pushgate/pushgate/internal/redistest"
)

// unready counts how often a broker turns from ready to not ready until the end of
// the test, or until it is asked.
func unready(t *testing.T, b *Broker) (count func() (int, error)) {
	t.Helper()
	stop, ended := make(chan struct{}), make(chan struct{})
	times, last := 0, error(nil)
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for was := error(nil); ; {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			err := b.Ready()
			if err != nil && was == nil {
				times, last = times+1, err
			}
			was = err
		}
	}()
	return func() (int, error) {
		close(stop)
		<-ended
		return times, last
	}
}

// Slots that move to another server, one after the other, leave readiness alone.
// Among them are those of a connection's own probes. A server that is lost doesn't.
func TestMovedSlotsAreQuiet(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3)
	b := runBroker(t, clusterConfig(cluster))
	r := newRecorder()
	waitReady(t, b)
	from, to := cluster.Masters[0], cluster.Masters[1]
	var names []string
	for n := 0; len(names) < 8; n++ {
		if name := fmt.Sprint("c", n); cluster.Owner(name) == from {
			names = append(names, name)
			join(b, name, r)
			r.wait(t, name, 1)
		}
	}
	var probes []string
	for _, l := range b.links {
		if name := strings.TrimPrefix(l.probeName, "push:"); cluster.Owner(name) == from {
			probes = append(probes, name)
		}
	}
	if len(probes) == 0 {
		t.Fatal("no connection has its probe at the server that loses slots")
	}
	count := unready(t, b)
	for i, name := range append(names[:4:4], probes[0]) {
		cluster.Move(upstream.Slot("push:"+name), from, to)
		eventually(t, "the channel is subscribed to at its new server", func() bool {
			return to.Client.PubSubShardNumSub(t.Context(), "push:"+name).Val()["push:"+name] == 1
		})
		text := fmt.Sprint("after the move ", i)
		for _, name := range names {
			if _, err := b.Publish(t.Context(), name, []byte(text), PublishOptions{Durable: true}); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the message comes", func() bool { return slices.Contains(r.texts(name), text) })
		}
	}
	eventually(t, "the links have arrived", func() bool {
		return !slices.ContainsFunc(b.links, func(l *link) bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			return !l.moved.IsZero()
		})
	})
	if n, err := count(); n > 0 {
		t.Errorf("readiness went %d times while slots moved, for: %v", n, err)
	}
	if n := b.Stats().Reconnects; n == 0 {
		t.Error("no connection was made anew: nothing has moved")
	}
	cluster.Masters[2].Kill()
	eventually(t, "the loss of a server is told", func() bool { return b.Ready() != nil })
}

// A link that follows a slot and doesn't arrive is down when the grace is over.
func TestMovedSlotsAndNoServer(t *testing.T) {
	c := DefaultConfig()
	c.ProbeInterval = 10 * time.Millisecond
	_, l := offline(t, c)
	l.mu.Lock()
	l.down, l.probed = nil, true
	l.mu.Unlock()
	if !l.fail(fmt.Errorf("%w: that of x", errSlotMoved)) || l.ready() != nil {
		t.Fatalf("right after the move: %v", l.ready())
	}
	since := l.moved
	l.lost()
	if !l.fail(errSlotMoved) || l.moved != since {
		t.Error("another move gives more time")
	}
	eventually(t, "the link is down", func() bool { return errors.Is(l.ready(), errSlotMoved) })
	if late := time.Since(since); late < moveGrace*c.ProbeInterval {
		t.Errorf("it is down after %v", late)
	}
	if l.fail(errSlotMoved) {
		t.Error("a link that is down was up")
	}
	l.lost()
	l.mu.Lock()
	l.probed = true
	l.checkUp()
	l.mu.Unlock()
	if err := l.ready(); err != nil || !l.moved.IsZero() {
		t.Errorf("after it has arrived: %v", err)
	}
	// Other failures are reported at once.
	if l.fail(context.Canceled); !errors.Is(l.ready(), context.Canceled) {
		t.Errorf("after another failure: %v", l.ready())
	}
}
