package client

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gobwas/ws"
)

// Mark is a point of a curve: so many after so many seconds.
type Mark struct {
	Seconds float64 `json:"s"`
	Count   int     `json:"n"`
}

// Progress records how a count grows to its goal, as a curve of about a
// hundred points.
type Progress struct {
	Goal, Count int
	Last        time.Time // when it last grew
	Curve       []Mark

	start time.Time
}

// Begin starts anew.
func (p *Progress) Begin(goal int) { *p = Progress{start: time.Now(), Goal: goal} }

// add counts one more. A point is added at the first, at the last, and where
// the count has grown by a hundredth of the goal.
func (p *Progress) add(now time.Time) {
	p.Count++
	p.Last = now
	last := 0
	if n := len(p.Curve); n > 0 {
		last = p.Curve[n-1].Count
	}
	if p.Goal > 0 && (p.Count == p.Goal || last == 0 || p.Count-last >= max(1, p.Goal/100)) {
		p.Curve = append(p.Curve, Mark{Seconds: now.Sub(p.start).Seconds(), Count: p.Count})
	}
}

// At returns the second at which a share of the goal was reached, 0 where it
// never was.
func At(curve []Mark, goal int, share float64) float64 {
	for _, m := range curve {
		if float64(m.Count) >= share*float64(goal) {
			return m.Seconds
		}
	}
	return 0
}

// Counts are of faults.
type Counts struct {
	Lost    int    `json:"lost"`          // messages that were passed over by a later one
	Doubled int    `json:"doubled"`       // messages that came again, or late
	Gaps    int    `json:"gaps"`          // told by the server
	Broken  int    `json:"broken"`        // settled connections that ended when they shouldn't have
	Why     string `json:"why,omitempty"` // the first of them did
}

// take checks that message k is the client's next one.
func (c *Clients) take(cn *conn, k int) error {
	next := int(cn.next)
	switch {
	case k >= len(c.Messages):
		return fmt.Errorf("message %d was never published", k)
	case c.o.Strict && k != next:
		return fmt.Errorf("message %d in place of %d", k, next)
	case k < next:
		c.Counts.Doubled++
		return nil
	}
	c.Counts.Lost += k - next
	cn.next = int32(k + 1)
	c.Received++
	c.Messages[k].add(c.Heard)
	return nil
}

// Lost is how many messages did not come to a client, those included that were
// due after the last one it has.
func (c *Clients) Lost() int {
	lost := c.Counts.Lost
	for i := range c.conns {
		lost += len(c.Messages) - int(c.conns[i].next)
	}
	return lost
}

// opened is called when the handshake has been answered.
func (c *Clients) opened(slot uint32) error {
	c.conns[slot].confirmed, c.conns[slot].bye = 0, false
	if c.o.Hello != "" {
		if err := c.frame(slot, ws.OpText, []byte(c.o.Hello)); err != nil {
			return err
		}
	}
	if c.o.Joined == "" {
		c.settle(slot)
	}
	return nil
}

// settle lets another client begin.
func (c *Clients) settle(slot uint32) {
	c.conns[slot].phase = phaseSettled
	c.pending--
	c.Settled++
	c.Joined.add(c.Heard)
}

// text takes a whole message of a WebSocket or the data of an event.
func (c *Clients) text(slot uint32, text []byte) error {
	if !c.o.Lines {
		return c.line(slot, text)
	}
	for line := range bytes.SplitSeq(text, []byte("\n")) {
		if err := c.line(slot, line); err != nil {
			return err
		}
	}
	return nil
}

func (c *Clients) line(slot uint32, text []byte) error {
	cn := &c.conns[slot]
	if k, ok := c.o.number(text, int(cn.next)); ok {
		return c.take(cn, k)
	}
	switch {
	case begins(text, c.o.Joined):
		cn.confirmed++
		want := uint8(1)
		if c.o.Subscriptions != nil {
			want = c.o.Subscriptions(slot)
		}
		if cn.confirmed == want && cn.phase == phaseOpen {
			c.settle(slot)
		}
	case c.o.Ping != "" && string(text) == c.o.Ping:
		c.Pings++
		if !c.o.Events {
			return c.frame(slot, ws.OpText, text)
		}
	case bytes.HasPrefix(text, byeText):
		cn.bye = true
	case bytes.HasPrefix(text, gapText):
		c.Counts.Gaps++
		if c.o.Strict {
			return fmt.Errorf("a gap: %.200q", text)
		}
	case c.o.Known != nil && !slices.ContainsFunc(c.o.Known, func(known string) bool { return begins(text, known) }):
		return fmt.Errorf("unexpected text %.200q", text)
	}
	return nil
}

// closed is the error of a connection that the server closed in order.
type closed struct {
	code   ws.StatusCode
	reason string
}

func (c *closed) Error() string { return fmt.Sprintf("closed by the server: %d %q", c.code, c.reason) }

// restart is the close code of a server that shuts down: RFC 6455's registry,
// 1012, service restart.
const restart ws.StatusCode = 1012

// ended counts the client among those sent away in order, or fails the run, or
// counts it as broken.
func (c *Clients) ended(slot uint32, err error) {
	cn := &c.conns[slot]
	if end := (*closed)(nil); errors.As(err, &end) && end.code == restart && c.Leaving && cn.bye {
		c.Gone.add(c.Heard)
		return
	}
	err = fmt.Errorf("client %d, after a bye: %v: %w", slot, cn.bye, err)
	if c.o.Strict || cn.phase != phaseSettled {
		c.Fail(err)
	}
	if cn.phase == phaseSettled {
		c.Counts.Broken++
	}
	if c.Counts.Why == "" {
		c.Counts.Why = err.Error()
	}
}
