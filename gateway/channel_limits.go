package gateway

import (
	"fmt"

	"github.com/pushgate/pushgate/fanout/index"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// A channel without subscribers costs a subscription in Redis, which outlives its last subscriber
// by a delay. So a client that cycles through names is bounded in new channels over time. Others
// cost a few bytes and are bounded in number.

// mayOpen reports whether a client may subscribe to n channels that may be new.
func (s *shard) mayOpen(i uint32, n int) bool {
	t := s.rates.Get(i)
	return !s.cfg.channelRate.IsSet() || t == nil || t.channels.Has(s.cfg.channelRate, n, s.uptime())
}

// opened charges the client's rate of new channels for one.
func (s *shard) opened(i uint32) {
	if s.cfg.channelRate.IsSet() {
		s.rates.At(i).channels.Take(s.cfg.channelRate, s.uptime())
	}
}

// roomFor returns the reason to reject a request's channels: they exceed a limit of the client, or
// of all clients together. It's empty if they fit.
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

// anyNew reports whether one of the channels has no subscriber here.
func (s *shard) anyNew(p *params) bool {
	for _, name := range p.channels {
		if _, ok := s.index.Lookup([]byte(name)); !ok {
			return true
		}
	}
	return false
}

// takeBack undoes a subscription that exceeds a limit, and sends the client an error. roomFor has
// checked the channels of a request.
func (s *shard) takeBack(i uint32, c *client, ch index.Channel, name string, ref requestRef) (done bool) {
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

// countSubscriptions adds n, which may be negative.
func (s *shard) countSubscriptions(n int) {
	s.stats.subscriptions += n
	s.srv.subscriptions.Add(int64(n))
}

// sumChannels updates the server's channel count with the shard's.
func (s *shard) sumChannels() {
	if n := s.index.Channels(); n != s.channels {
		s.srv.channels.Add(int64(n - s.channels))
		s.channels = n
	}
}
