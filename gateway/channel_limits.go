package gateway

import (
	"fmt"

	"github.com/pushgate/pushgate/fanout/index"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// A channel that nobody has yet costs a subscription in Redis, and it lingers after its
// subscribers have left. So a client that cycles through names is bounded by how many
// new ones it may have over time. Others cost a few bytes and are bounded by how
// many there may be at once.

// mayOpen reports whether a client may subscribe to n channels that may be new.
func (s *shard) mayOpen(i uint32, n int) bool {
	t := s.rates.Get(i)
	return !s.cfg.channelRate.IsSet() || t == nil || t.channels.Has(s.cfg.channelRate, n, s.uptime())
}

// opened charges the client's rate of new channels with one.
func (s *shard) opened(i uint32) {
	if s.cfg.channelRate.IsSet() {
		s.rates.At(i).channels.Take(s.cfg.channelRate, s.uptime())
	}
}

// roomFor returns why a request can't have its channels: they are more than the
// client, or all clients together, may have. It's empty where it can.
func (s *shard) roomFor(i uint32, p *params) reasons.Reject {
	switch n := len(p.channels); {
	case !s.mayOpen(i, n):
		return reasons.RejectChannelRate
	case s.srv.subscriptions.Load()+int64(n) > int64(s.cfg.Limits.TotalSubscriptions):
		return reasons.RejectSubscriptions
	case s.srv.channels.Load() >= int64(s.cfg.Limits.TotalChannels) && s.anyNew(p):
		return reasons.RejectTotalChannels
	}
	return ""
}

// anyNew reports whether nobody here has one of the channels.
func (s *shard) anyNew(p *params) bool {
	for _, name := range p.channels {
		if _, ok := s.index.Lookup([]byte(name)); !ok {
			return true
		}
	}
	return false
}

// takeBack undoes a WebSocket's subscription to a channel that it can't have, and
// tells why. Requests were looked at by roomFor.
func (s *shard) takeBack(i uint32, c *conn, ch index.Channel, name string, ref requestRef) (done bool) {
	code, text, reason := codeTooManyChannels, "", reasons.RejectChannels
	switch {
	case int(c.count) >= s.cfg.Limits.ChannelsPerConnection:
		text = fmt.Sprintf("a connection may have %d channels", c.count)
	case c.kind != kindWebSocket:
		return false
	case s.srv.subscriptions.Load() >= int64(s.cfg.Limits.TotalSubscriptions):
		reason = reasons.RejectSubscriptions
	case s.srv.channels.Load() > int64(s.cfg.Limits.TotalChannels) && s.index.Subscribers(ch) == 1:
		reason = reasons.RejectTotalChannels
	case !s.mayOpen(i, 1):
		code, reason = codeRateLimited, reasons.RejectChannelRate
	default:
		return false
	}
	if reason != reasons.RejectChannels {
		text = overLimit[reason].Message
	}
	s.index.Unsubscribe(&c.subs, ch)
	s.settle(ch)
	s.stats.rejects[reason]++
	s.replyError(i, c, name, code, text, ref)
	return true
}

// countSubscriptions counts n subscriptions more, or fewer.
func (s *shard) countSubscriptions(n int) {
	s.stats.subscriptions += n
	s.srv.subscriptions.Add(int64(n))
}

// sumChannels counts the shard's channels anew.
func (s *shard) sumChannels() {
	if n := s.index.Channels(); n != s.channels {
		s.srv.channels.Add(int64(n - s.channels))
		s.channels = n
	}
}
