package client

import (
	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/gateway/internal/slab"
)

// Inside is a hub for tests of the layers above, which can't reach into the package.
type Inside struct{ *Hub }

// Kept counts the entries that a hub keeps for its clients.
type Kept struct {
	Tasks, Grants                      int
	Channels, Subscriptions            int
	Joins, Waiting, CatchingUp, Behind int // channels that are joined, the requests for them, and those being sent pages
	Parked                             int // clients that wait for their next page
}

// Kept returns the counts.
func (h Inside) Kept() Kept {
	c := h.Channels
	k := Kept{
		Tasks: len(h.Tasks.of), Grants: h.Rights.grants.entries.Used(),
		Channels: c.Index.Channels(), Subscriptions: c.Index.Subscriptions(),
		Joins: len(c.joins), Behind: len(h.catchUps.behind), Parked: len(h.catchUps.parked),
	}
	for _, j := range c.joins {
		k.Waiting += j.waiting.n
		k.CatchingUp += j.catchup.n
	}
	return k
}

// SetPending bounds the messages that may await delivery, in bytes.
func (h Inside) SetPending(bytes int) { h.intake.pending = bytes }

// SetHandover bounds the messages that wait for the loop, in bytes.
func (h Inside) SetHandover(bytes int64) { h.intake.room = bytes }

// Handover returns how many bytes wait for the loop to take them, and how many messages were dropped
// in their favour. It is called from any goroutine.
func (h Inside) Handover() (bytes int64, dropped uint64) {
	t := &h.intake
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, n := range t.drops {
		dropped += n
	}
	return t.bytes.Load(), dropped
}

// Joined has messages of a channel arrive, without a broker.
func (h Inside) Joined(channel string, at fanout.Joined) { h.Channels.joined(channel, at) }

// ConfirmAll has messages of all channels arrive that clients wait for.
func (h Inside) ConfirmAll() {
	var asked []string
	for ch, j := range h.Channels.joins {
		if j.asked {
			asked = append(asked, h.Channels.Index.Name(ch))
		}
	}
	for _, name := range asked {
		h.Joined(name, fanout.Joined{})
	}
}

// Crowd has a connection subscribe to a channel that no broker knows.
func (h Inside) Crowd(i uint32, channel string) {
	ch := h.Channels.Index.Open([]byte(channel))
	if h.Channels.joins[ch] == nil {
		h.Channels.joins[ch] = &join{}
	}
	h.Channels.Index.Subscribe(&h.at(i).subs, i, ch)
}

// Depopulate forgets all channels and subscriptions.
func (h Inside) Depopulate() {
	h.Channels = newChannels(h.Hub)
	h.records = slab.Sparse[record]{}
}

// WorkOn does a slice of a client's task, and reports whether it was the last or there is none.
func (h Inside) WorkOn(i uint32) (done bool) {
	t := h.Tasks.of[i]
	return t == nil || t.task.Work(i)
}

// EndTask continues after a client's task.
func (h Inside) EndTask(i uint32) { h.Tasks.end(h.Tasks.of[i]) }
