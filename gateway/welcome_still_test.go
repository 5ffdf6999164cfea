package gateway

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pushgate/pushgate/gateway/internal/queue"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// queued returns the bytes that wait for a peer.
func (p *peer) queued() int {
	if !p.s.conns.Out.Queued(p.slot) {
		return 0
	}
	return p.s.conns.Out.Queue(p.slot).Bytes
}

// A new token revokes channels even while its replies close other clients.
func TestRevokedWhileOthersAreEnded(t *testing.T) {
	s := newStill(t, func(c *Config) {
		withStillTokens(c)
		c.Limits.QueueBytes, c.Limits.TotalQueueBytes = 16<<20, 1<<30
	})
	wide := stillToken(t, "*")
	large := s.openAs(wide, "b1", "b2", "b3")
	small := s.openAs(wide, "small", "s1", "s2", "s3", "s4", "s5")
	n := uint32(0)
	for ; small.queued() == 0; n++ {
		s.deliver("small", n+1, 60_000)
	}
	for n = 0; large.queued() < 2*small.queued()+1<<20; n++ {
		s.deliver("b1", n+1, 60_000)
	}
	// The replies behind the welcome, for which its buffer has to grow, pass the
	// bound of all.
	total := (int(s.queueBytes()) + queue.ItemBytes + 2*len(s.native.WelcomeFrame(small.slot, "")) + 15) / 15 * 16
	s.configure(func(set *settings) { set.Limits.TotalQueueBytes = total })
	small.auth(stillToken(t, "small"))
	left := s.hub.Channels.Names(small.slot)
	if closes := s.conns.Stats().Closes[reasons.CloseOverload]; closes != 1 || !slices.Equal(left, []string{"small"}) {
		t.Errorf("with a token for small it has %v, %d others were ended", left, closes)
	}
}

// A client whose welcome is too much is closed, and has no channels: the
// next client in its slot gets none of its messages.
func TestWelcomeOverflows(t *testing.T) {
	s := newStill(t, withStillTokens)
	owner := s.openAs(stillToken(t, "secret"), "secret")
	p := s.connect()
	p.send([]byte(strings.Replace(upgradeHead, "/v1/ws", "/v1/ws?channels=secret", 1)))
	for ping := frame(0x9, strings.Repeat("x", 125)); p.queued() < 64<<10; {
		p.send(ping) // more pieces than may wait whatever their size
	}
	// Its bound is a byte below its backlog with the welcome, for which there is room in the last
	// buffer.
	s.configure(func(set *settings) { set.Limits.QueueBytes = s.conns.Out.Queue(p.slot).Waiting() - 1 })
	p.auth(stillToken(t, "secret"))
	if s.conns.Stats().Closes[reasons.CloseSlow] != 1 || s.hub.Stats.Subscriptions != 1 {
		t.Errorf("closes %v, %d subscriptions, want the owner's", s.conns.Stats().Closes, s.hub.Stats.Subscriptions)
	}
	p.close()
	s.conns.Reading.Now(p.slot)
	for s.Turn() {
	}
	other := s.openAs(stillToken(t, "own"), "own")
	if other.slot != p.slot {
		t.Fatalf("the next client is in slot %d, not %d", other.slot, p.slot)
	}
	owner.receive()
	s.deliver("secret", 1, 10)
	if got := string(owner.receive()); !strings.Contains(got, "xxxxxxxxxx") {
		t.Errorf("the owner got %q", got)
	}
	if got := other.receive(); got != nil {
		t.Errorf("the other client got %q", got)
	}
	s.deliver("own", 1, 10)
	if got := string(other.receive()); !strings.Contains(got, fmt.Sprintf("%q", "own")) {
		t.Errorf("the other client got %q", got)
	}
}
