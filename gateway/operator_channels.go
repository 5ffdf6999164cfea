package gateway

import (
	"context"
	"slices"
	"strings"

	"github.com/pushgate/pushgate/fanout/index"
	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/admin"
	"github.com/pushgate/pushgate/gateway/internal/publish"
)

// channelsPerSlice bounds the channel names that a shard copies at once.
const channelsPerSlice = 4096

// channelSlice is a piece of a shard's channels.
type channelSlice struct {
	names  []byte // one after the other
	ends   []int
	counts []int         // subscribers
	next   index.Channel // start of the next piece, 0 at the end
}

func (p *channelSlice) name(i int) []byte {
	start := 0
	if i > 0 {
		start = p.ends[i-1]
	}
	return p.names[start:p.ends[i]]
}

// listChannels returns the next channels whose names begin with prefix.
func (s *shard) listChannels(from index.Channel, prefix string) (p channelSlice) {
	slice := newSlice()
	p.next = s.hub.Channels.Index.EachChannel(from, func(ch index.Channel) bool {
		n := len(p.names)
		p.names = s.hub.Channels.Index.AppendName(p.names, ch)
		count := s.hub.Channels.Index.Subscribers(ch)
		if count > 0 && len(p.names)-n >= len(prefix) && string(p.names[n:n+len(prefix)]) == prefix {
			p.ends, p.counts = append(p.ends, len(p.names)), append(p.counts, count)
		} else {
			p.names = p.names[:n]
		}
		return len(p.ends) < channelsPerSlice && !slice.over(1)
	})
	return p
}

// countChannels returns this shard's number of subscribers for each channel of another shard's
// piece.
func (s *shard) countChannels(p *channelSlice) []int {
	counts := make([]int, len(p.ends))
	for i := range counts {
		if ch, ok := s.hub.Channels.Index.Lookup(p.name(i)); ok {
			counts[i] = s.hub.Channels.Index.Subscribers(ch)
		}
	}
	return counts
}

// Channels lists channels. A channel's subscribers are spread over the shards, so each piece of one
// shard's channels is counted on the others too; a shard omits the channels of earlier shards.
// Memory is bounded by the pieces and the page, however many channels there are.
func (o operator) Channels(ctx context.Context, q admin.ChannelQuery) (admin.ChannelPage, error) {
	found := channelRanking{query: &q}
	for k, sh := range o.srv.shards {
		for next := index.Channel(1); next != 0; {
			p, err := ask(ctx, sh, func() channelSlice { return sh.listChannels(next, q.Prefix) })
			if err != nil {
				return admin.ChannelPage{}, err
			}
			next = p.next
			if err := o.countElsewhere(ctx, k, &p); err != nil {
				return admin.ChannelPage{}, err
			}
			found.add(&p)
		}
	}
	return found.page(o.srv.net.Node), nil
}

// countElsewhere adds the subscribers of the shards other than k to the channels of p. Channels of
// an earlier shard are set to 0.
func (o operator) countElsewhere(ctx context.Context, k int, p *channelSlice) error {
	if len(p.ends) == 0 {
		return nil
	}
	for j, other := range o.srv.shards {
		if j == k {
			continue
		}
		counts, err := ask(ctx, other, func() []int { return other.countChannels(p) })
		if err != nil {
			return err
		}
		for i, n := range counts {
			switch {
			case p.counts[i] == 0:
			case j < k && n > 0:
				p.counts[i] = 0
			default:
				p.counts[i] += n
			}
		}
	}
	return nil
}

// channelRanking keeps the first channels in the query's order.
type channelRanking struct {
	query *admin.ChannelQuery
	total int             // channels that match
	best  []admin.Channel // up to twice the limit, in no order
	last  *admin.Channel  // channels behind it can't be in the page; nil at first
	after int             // channels behind the query's cursor
}

// add adds a piece's channels that have subscribers.
func (r *channelRanking) add(p *channelSlice) {
	names := string(p.names)
	start := 0
	for i, end := range p.ends {
		ch := admin.Channel{Name: names[start:end], Subscribers: p.counts[i]}
		start = end
		if ch.Subscribers == 0 {
			continue
		}
		r.total++
		if r.query.After != nil && !r.query.Before(*r.query.After, ch) {
			continue
		}
		r.after++
		if r.last != nil && !r.query.Before(ch, *r.last) {
			continue
		}
		ch.Name = strings.Clone(ch.Name) // so that the piece can be freed
		if r.best = append(r.best, ch); len(r.best) >= 2*r.query.Limit {
			r.cut()
		}
	}
}

// cut sorts the best and truncates them to the limit.
func (r *channelRanking) cut() {
	slices.SortFunc(r.best, func(a, b admin.Channel) int {
		if r.query.Before(a, b) {
			return -1
		}
		return 1 // names differ
	})
	if limit := r.query.Limit; len(r.best) >= limit {
		r.best = r.best[:limit]
		last := r.best[limit-1]
		r.last = &last
	}
}

func (r *channelRanking) page(node string) admin.ChannelPage {
	r.cut()
	page := admin.ChannelPage{Node: node, Total: r.total, Channels: r.best}
	if r.after > len(r.best) {
		page.Next = r.best[len(r.best)-1].Cursor()
	}
	return page
}

// Channel describes one channel of this gateway.
func (o operator) Channel(ctx context.Context, name string) (admin.ChannelDetail, error) {
	d := admin.ChannelDetail{Node: o.srv.net.Node, Channel: admin.Channel{Name: name}}
	if err := message.ValidChannel(name); err != nil {
		return d, &admin.Error{Status: 400, Code: publish.CodeInvalidChannel, Message: err.Error()}
	}
	one := channelSlice{names: []byte(name), ends: []int{len(name)}}
	for _, sh := range o.srv.shards {
		counts, err := ask(ctx, sh, func() []int { return sh.countChannels(&one) })
		if err != nil {
			return d, err
		}
		d.Subscribers += counts[0]
	}
	info := o.srv.broker.Inspect(name)
	if !info.Known {
		return d, nil
	}
	d.Subscribed, d.Position = info.Live, info.Plain.String()
	d.Ring = admin.Ring{Messages: info.RingMessages, Bytes: info.RingBytes}
	if !info.Durable.IsZero() {
		d.Durable = info.Durable.String()
	}
	if info.RingMessages > 0 {
		d.Ring.First = info.RingFirst.String()
	}
	return d, nil
}

// Forget removes a channel's history on every gateway.
func (o operator) Forget(ctx context.Context, name string) (int64, error) {
	if err := message.ValidChannel(name); err != nil {
		return 0, &admin.Error{Status: 400, Code: publish.CodeInvalidChannel, Message: err.Error()}
	}
	ctx, cancel := context.WithTimeout(ctx, publish.Timeout)
	defer cancel()
	had, err := o.srv.broker.Forget(ctx, name)
	if err != nil {
		return 0, &admin.Error{Status: 503, Code: publish.CodeBroker, Message: "the history may not have been forgotten: " + err.Error()}
	}
	o.srv.log.Info("a channel's history is forgotten", "channel", name, "messages", had)
	return had, nil
}
