package client

import (
	"fmt"

	"github.com/pushgate/pushgate/fanout/index"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// A channel without subscribers costs a subscription in Redis, which outlives its last subscriber
// by a delay. So a client that cycles through names is bounded in new channels over time. Others
// cost a few bytes and are bounded in number.

// RoomFor returns the reason to reject a request's channels: they exceed a limit of the client, or
// of all clients together. It's empty if they fit.
func (s *Channels) RoomFor(i uint32, p *Params) reasons.Reject {
	switch n := len(p.Channels); {
	case !s.hub.Limits.MayOpen(i, n):
		return reasons.RejectChannelRate
	case s.hub.Shared.Subscriptions.Load()+int64(n) > int64(s.hub.Options.TotalSubscriptions):
		return reasons.RejectSubscriptions
	case s.hub.Shared.Channels.Load() >= int64(s.hub.Options.TotalChannels) && s.anyNew(p):
		return reasons.RejectTotalChannels
	}
	return ""
}

// anyNew reports whether one of the channels has no subscriber here.
func (s *Channels) anyNew(p *Params) bool {
	for _, name := range p.Channels {
		if _, ok := s.Index.Lookup([]byte(name)); !ok {
			return true
		}
	}
	return false
}

// takeBack undoes a subscription that exceeds a limit, and sends the client an error. RoomFor has
// checked the channels of a request.
func (s *Channels) takeBack(i uint32, c *record, ch index.Channel, name string, w *Request) (done bool) {
	code, text, reason := reasons.CodeTooManyChannels, "", reasons.RejectChannels
	switch {
	case int(c.count) >= s.hub.Options.ChannelsPerConnection:
		text = fmt.Sprintf("a connection may have %d channels", c.count)
	case w.fits:
		return false
	case s.hub.Shared.Subscriptions.Load() >= int64(s.hub.Options.TotalSubscriptions):
		reason = reasons.RejectSubscriptions
	case s.hub.Shared.Channels.Load() > int64(s.hub.Options.TotalChannels) && s.Index.Subscribers(ch) == 1:
		reason = reasons.RejectTotalChannels
	case !s.hub.Limits.MayOpen(i, 1):
		code, reason = reasons.CodeRateLimited, reasons.RejectChannelRate
	default:
		return false
	}
	if reason != reasons.RejectChannels {
		text = reasons.OverLimit[reason].Message
	}
	s.Index.Unsubscribe(&c.subs, ch)
	s.settle(ch)
	s.hub.HTTP.Refuse.Count(reason)
	s.hub.protocols[c.kind].Refuse(i, name, code, text, w.Ref)
	return true
}

// count adds n, which may be negative.
func (s *Channels) count(n int) {
	s.hub.Stats.Subscriptions += n
	s.hub.Shared.Subscriptions.Add(int64(n))
}

// sumChannels updates the server's channel count with the loop's.
func (s *Channels) sumChannels() {
	if n := s.Index.Channels(); n != s.sum {
		s.hub.Shared.Channels.Add(int64(n - s.sum))
		s.sum = n
	}
}
