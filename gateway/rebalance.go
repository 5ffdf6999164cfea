package gateway

import (
	"fmt"
	"sync"
	"time"

	"github.com/pushgate/pushgate/gateway/admin"
	"github.com/pushgate/pushgate/gateway/internal/conn"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// departure is the shutdown or rebalance in progress; there is one at a time.
type departure struct {
	// Guarded by mu
	mu     sync.Mutex
	reason reasons.Close // CloseDrain, CloseRebalance, or empty
	until  time.Time
}

// BusyError reports that a drain or rebalance is already in progress.
type BusyError struct {
	Reason reasons.Close // CloseDrain or CloseRebalance
	Until  time.Time
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("a %s runs until %s", e.Reason, e.Until.UTC().Format(time.RFC3339))
}

// begin records a departure that ends at until. A shutdown replaces a rebalance; anything else
// is refused with a *BusyError.
func (d *departure) begin(reason reasons.Close, until time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if reason != reasons.CloseDrain {
		if running, end := d.current(); running != "" {
			return &BusyError{running, end}
		}
	}
	d.reason, d.until = reason, until
	return nil
}

// now returns the departure in progress, empty if there is none.
func (d *departure) now() (reasons.Close, time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.current()
}

func (d *departure) current() (reasons.Close, time.Time) {
	if d.reason == reasons.CloseRebalance && time.Now().After(d.until) {
		return "", time.Time{}
	}
	return d.reason, d.until
}

// Rebalance asks a fraction of the clients, chosen evenly, to reconnect, spread over a duration:
// through a load balancer they reach the new members of a grown fleet. It returns the number of
// connections, or a *BusyError.
func (s *Server) Rebalance(fraction float64, over time.Duration) (connections int64, err error) {
	// The shards need one more tick for the last clients.
	if err := s.departure.begin(reasons.CloseRebalance, time.Now().Add(over+conn.Tick)); err != nil {
		return 0, err
	}
	for _, sh := range s.shards {
		sh.post(func() {
			if sh.drain.reason != reasons.CloseDrain {
				sh.beginDrain(reasons.CloseRebalance, fraction, over)
			}
		})
	}
	return s.net.Connections.Load(), nil
}

// drainTime is the time over which a shutdown closes the connections.
func (s *Server) drainTime() time.Duration {
	d := s.live.Load().Drain
	if rate := d.Rate; rate > 0 {
		return time.Duration(float64(s.net.Connections.Load()) / float64(rate) * float64(time.Second))
	}
	return d.Timeout
}

// StopTime is the longest that Run takes to return once its context has ended.
func (s *Server) StopTime() time.Duration {
	return s.live.Load().Drain.Delay + s.drainTime() + conn.Linger
}

// Drain ends Run like the end of its context.
func (o operator) Drain() (connections int64) {
	connections = o.srv.net.Connections.Load()
	o.srv.stopOnce.Do(func() { close(o.srv.stop) })
	return connections
}

// Shed is Rebalance for an operator.
func (o operator) Shed(fraction float64, over time.Duration) (connections int64, err error) {
	connections, err = o.srv.Rebalance(fraction, over)
	if err != nil {
		return 0, admin.Busy(err)
	}
	o.srv.log.Info("the operator started a rebalance", "connections", connections, "fraction", fraction, "over", over)
	return connections, nil
}
