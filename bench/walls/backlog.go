package walls

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// showBacklog sends a burst of connections to a gateway that is too busy to
// accept: it is stopped meanwhile.
func showBacklog(_ []string, out io.Writer) error {
	if err := raiseLoopback(); err != nil {
		return err
	}
	const burst = 1000
	t := newTable(out, "net.core.somaxconn", "socket.backlog", "clients", "connected at once", "ListenOverflows", "the last one after")
	for _, c := range []struct{ somaxconn, backlog int }{{128, 65535}, {4096, 128}, {4096, 65535}} {
		if err := setSysctl("net.core.somaxconn", fmt.Sprint(c.somaxconn)); err != nil {
			return err
		}
		b, err := sendBurst(burst, c.backlog)
		if err != nil {
			return err
		}
		t.row(c.somaxconn, c.backlog, burst, b.atOnce, b.overflows, b.took.Round(10*time.Millisecond))
	}
	return t.flush()
}

type burst struct {
	atOnce    int // connected while nothing was accepted
	overflows int // counted meanwhile
	took      time.Duration
}

// sendBurst opens n connections to a gateway that is stopped for half a
// second.
func sendBurst(n, backlog int) (b burst, err error) {
	g, err := startGateway(0, "--socket.backlog", fmt.Sprint(backlog))
	if err != nil {
		return b, err
	}
	defer g.stop()
	if err := g.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return b, err
	}
	before, err := counters()
	if err != nil {
		return b, err
	}
	const pause = 500 * time.Millisecond
	begin := time.Now()
	var mu sync.Mutex
	var failed error
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			c, err := net.DialTimeout("tcp", g.public, 30*time.Second)
			at := time.Since(begin)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = errors.Join(failed, err)
				return
			}
			defer c.Close()
			if at < pause {
				b.atOnce++
			}
			b.took = max(b.took, at)
		})
	}
	time.Sleep(pause)
	after, err := counters()
	if err != nil {
		return b, err
	}
	b.overflows = after["ListenOverflows"] - before["ListenOverflows"]
	if err := g.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		return b, err
	}
	all.Wait()
	return b, failed
}
