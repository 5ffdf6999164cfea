package gateway

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/pushgate/pushgate/fanout/index"
	"github.com/pushgate/pushgate/gateway/admin"
	"github.com/pushgate/pushgate/gateway/internal/conn"
)

// maxListedChannels bounds the channels listed for one connection.
const maxListedChannels = 1000

// matchCost is the cost of listing or closing a connection, relative to visiting a slot.
const matchCost = 32

// matches reports whether f selects the connection; ch is the number of f.Channel. Closing
// connections are not selected.
func (s *shard) matches(i uint32, f *admin.ConnectionFilter, ch index.Channel) bool {
	switch {
	case !s.conns.Slots.IsOpen(i):
		return false
	case f.Transport != "" && f.Transport != s.hub.Transport(i):
		return false
	case f.Subject != nil && *f.Subject != s.hub.Rights.Subject(i):
		return false
	case f.Channel != "" && !s.hub.Channels.Has(i, ch):
		return false
	}
	return f.Address.All() || f.Address.Match(s.conns.Addrs.Of(i))
}

// walk calls visit for the connections from slot from on that f selects, until it returns false or
// the slice is over. It returns the slot to continue from, 0 at the end. visit may close the
// connection.
func (s *shard) walk(from uint32, f *admin.ConnectionFilter, visit func(i uint32) bool) (next uint32) {
	var ch index.Channel
	if f.Channel != "" {
		var ok bool
		if ch, ok = s.hub.Channels.Index.Lookup([]byte(f.Channel)); !ok {
			return 0
		}
	}
	slice := newSlice()
	for i := max(from, 1); i < s.conns.Slots.End(); i++ {
		cost := 1
		if s.matches(i, f, ch) {
			cost = matchCost
			if !visit(i) {
				return i + 1
			}
		}
		if slice.over(cost) {
			return i + 1
		}
	}
	return 0
}

// describe returns a connection's entry in the list.
func (s *shard) describe(i uint32) admin.Connection {
	d := admin.Connection{
		ID:            s.conns.ID(i),
		Transport:     s.hub.Transport(i),
		Subject:       s.hub.Rights.Subject(i),
		AgeSeconds:    s.conns.Age(i).Seconds(),
		Subscriptions: s.hub.Channels.Count(i),
	}
	switch a := s.conns.Addrs.Of(i); {
	case !a.IsValid():
	case a.Port() == 0:
		d.Address = a.Addr().String()
	default:
		d.Address = a.String()
	}
	if s.conns.Out.Queued(i) {
		d.QueuedBytes = s.conns.Out.Queue(i).Bytes
	}
	return d
}

// connectionSlice is a piece of a shard's connections.
type connectionSlice struct {
	list []admin.Connection
	next uint32 // slot of the next piece, 0 at the end
}

// Connections lists connections in the order of shards and slots.
func (o operator) Connections(ctx context.Context, f admin.ConnectionFilter, cursor string, limit int) (admin.ConnectionPage, error) {
	page := admin.ConnectionPage{Node: o.srv.net.Node}
	first, slot, err := o.parseCursor(cursor)
	if err != nil {
		return page, err
	}
	for k := first; k < len(o.srv.shards); k++ {
		sh := o.srv.shards[k]
		for more := true; more; more = slot != 0 {
			room := limit - len(page.Connections)
			if room == 0 {
				page.Next = fmt.Sprintf("%d.%d", k, slot)
				return page, nil
			}
			from := slot
			p, err := ask(ctx, sh, func() (p connectionSlice) {
				p.next = sh.walk(from, &f, func(i uint32) bool {
					p.list = append(p.list, sh.describe(i))
					return len(p.list) < room
				})
				return p
			})
			if err != nil {
				return page, err
			}
			page.Connections = append(page.Connections, p.list...)
			slot = p.next
		}
	}
	return page, nil
}

// parseCursor returns the shard and slot at which a list continues.
func (o operator) parseCursor(text string) (shard int, slot uint32, err error) {
	if text == "" {
		return 0, 0, nil
	}
	first, second, ok := strings.Cut(text, ".")
	k, kerr := strconv.Atoi(first)
	i, ierr := strconv.ParseUint(second, 10, 32)
	if !ok || kerr != nil || ierr != nil || k < 0 || k >= len(o.srv.shards) {
		return 0, 0, adminBadRequest("cursor is not the next of an earlier answer")
	}
	return k, uint32(i), nil
}

// Connection describes one connection.
func (o operator) Connection(ctx context.Context, id string) (admin.ConnectionDetail, error) {
	sh, k, ok := o.parseID(id)
	if !ok {
		return admin.ConnectionDetail{}, admin.ErrNoConnection
	}
	d, err := ask(ctx, sh, func() *admin.ConnectionDetail { return sh.detail(k) })
	if err == nil && d == nil {
		err = admin.ErrNoConnection
	}
	if err != nil {
		return admin.ConnectionDetail{}, err
	}
	return *d, nil
}

// detail returns a connection's description, nil if it's gone.
func (s *shard) detail(k conn.Key) *admin.ConnectionDetail {
	if !s.conns.Slots.FindOpen(k) {
		return nil
	}
	d := admin.ConnectionDetail{Node: s.srv.net.Node, Connection: s.describe(k.Slot), Channels: []string{}}
	s.hub.Channels.Each(k.Slot, func(_ index.Sub, ch index.Channel) {
		if len(d.Channels) < maxListedChannels {
			d.Channels = append(d.Channels, s.hub.Channels.Index.Name(ch))
		}
	})
	return &d
}

// parseID parses a connection's id; see conn.Set.ID.
func (o operator) parseID(id string) (sh *shard, k conn.Key, ok bool) {
	rest, ok := strings.CutPrefix(id, o.srv.net.Node+"-")
	parts := strings.Split(rest, "-")
	if !ok || len(parts) != 3 {
		return nil, conn.Key{}, false
	}
	var n [3]uint64
	for i, part := range parts {
		v, err := strconv.ParseUint(part, 36, 32)
		if err != nil {
			return nil, conn.Key{}, false
		}
		n[i] = v
	}
	if n[0] >= uint64(len(o.srv.shards)) {
		return nil, conn.Key{}, false
	}
	return o.srv.shards[n[0]], conn.Key{Slot: uint32(n[1]), Gen: uint32(n[2])}, true
}

// Close closes the connections that f selects.
func (o operator) Close(ctx context.Context, f admin.ConnectionFilter) (closed int, err error) {
	defer func() { o.srv.log.Info("the operator closed connections", "closed", closed) }()
	if f.ID != "" {
		return o.closeOne(ctx, f.ID)
	}
	for _, sh := range o.srv.shards {
		slot := uint32(1)
		for slot != 0 {
			from, before := slot, closed
			p, err := ask(ctx, sh, func() (p struct {
				closed int
				next   uint32
			}) {
				p.next = sh.walk(from, &f, func(i uint32) bool {
					sh.hub.Dismiss(i, before+p.closed)
					p.closed++
					return true
				})
				return p
			})
			if err != nil {
				return closed, err
			}
			closed += p.closed
			slot = p.next
		}
	}
	return closed, nil
}

func (o operator) closeOne(ctx context.Context, id string) (int, error) {
	sh, k, ok := o.parseID(id)
	if !ok {
		return 0, nil
	}
	return ask(ctx, sh, func() int {
		if !sh.conns.Slots.FindOpen(k) {
			return 0
		}
		sh.hub.Dismiss(k.Slot, 0)
		return 1
	})
}
