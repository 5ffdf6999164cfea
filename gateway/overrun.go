package gateway

import (
	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/fanout/index"
	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/internal/queue"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// maxPending bounds the memory of the messages that wait in a shard for their turn
// to be delivered, each with one encoding. More come only when publishers are faster
// than the box can write.
const maxPending = 64 << 20

// dispatch puts a message up for delivery to the channel's subscribers. When the
// shard can't keep up it is dropped, and they are told where that began.
func (s *shard) dispatch(ch index.Channel, m *message.Message) {
	if _, bytes := s.index.Pending(); bytes < s.room || m.Notice() {
		delete(s.overrun, ch)
		s.index.Publish(ch, m)
		return
	}
	s.stats.drops[reasons.DropOverrun]++
	s.tellDropped(ch, m.Channel, queue.PositionBefore(m), m.Seq)
}

// tellDropped tells a channel's subscribers that its messages are being dropped, from
// the one with number seq on, which is the first after since.
func (s *shard) tellDropped(ch index.Channel, channel string, since message.Position, seq uint32) {
	if !s.overrun[ch] {
		s.overrun[ch] = true
		s.srv.limited.Warn(s.log, "messages come faster than they can be delivered: some are dropped", "channel", channel)
		s.index.Publish(ch, gapNotice(channel, fanout.Gap{Since: since, Reason: fanout.GapSlow, Seq: seq}))
	}
}

// tellOverrun tells a client that begins at a position while the channel's
// messages are being dropped. The others were told where that began. Where there
// is room again it ends here: should the next message be dropped, all are told.
func (s *shard) tellOverrun(i uint32, c *conn, ch index.Channel, since message.Position) {
	if _, bytes := s.index.Pending(); bytes < s.room {
		delete(s.overrun, ch)
		return
	}
	gap := gapNotice(s.index.Name(ch), fanout.Gap{Since: since, Reason: fanout.GapSlow})
	if b := gap.Encoded(c.form()); len(b) > 0 {
		s.sendCopy(i, c, b)
	}
}
