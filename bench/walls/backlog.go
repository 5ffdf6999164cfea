package walls

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/pushgate/pushgate/bench/rig"
	"github.com/pushgate/pushgate/internal/probe"
)

// showBacklog sends a burst of connections to a gateway that is too busy to
// accept: it is stopped meanwhile.
func showBacklog(_ []string, out io.Writer) error {
	if err := raiseLoopback(); err != nil {
		return err
	}
	l, err := rig.Build(context.Background(), "cmd/gateway")
	if err != nil {
		return err
	}
	defer l.Close()
	const burst = 1000
	t := newTable(out, "net.core.somaxconn", "socket.backlog", "clients", "connected at once", "ListenOverflows", "the last one after")
	for _, c := range []struct{ somaxconn, backlog int }{{128, 65535}, {4096, 128}, {4096, 65535}} {
		if err := setSysctl("net.core.somaxconn", fmt.Sprint(c.somaxconn)); err != nil {
			return err
		}
		g, err := startGateway(l, 0, "--socket.backlog", fmt.Sprint(c.backlog))
		if err != nil {
			return err
		}
		atOnce, overflows, took, err := sendBurst(g, burst)
		g.Kill()
		if err != nil {
			return err
		}
		t.row(c.somaxconn, c.backlog, burst, atOnce, overflows, took.Round(10*time.Millisecond))
	}
	return t.Flush()
}

// sendBurst opens n connections to a gateway that is stopped for half a second.
// It returns how many connected meanwhile, how often the kernel found the queue
// full, and how long the last one took.
func sendBurst(g *rig.Gateway, n int) (atOnce int, overflows uint64, took time.Duration, err error) {
	if err := g.Signal(syscall.SIGSTOP); err != nil {
		return 0, 0, 0, err
	}
	kernel, err := probe.WatchKernel(os.Getpid())
	if err != nil {
		return 0, 0, 0, err
	}
	before, err := kernel.Sample()
	if err != nil {
		return 0, 0, 0, err
	}
	const pause = 500 * time.Millisecond
	begin := time.Now()
	var mu sync.Mutex
	var failed error
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			c, err := net.DialTimeout("tcp", g.Listen.String(), 30*time.Second)
			at := time.Since(begin)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = errors.Join(failed, err)
				return
			}
			defer c.Close()
			if at < pause {
				atOnce++
			}
			took = max(took, at)
		})
	}
	time.Sleep(pause)
	after, err := kernel.Sample()
	if err := errors.Join(err, g.Signal(syscall.SIGCONT)); err != nil {
		return 0, 0, 0, err
	}
	all.Wait()
	return atOnce, after.Overflows - before.Overflows, took, failed
}
