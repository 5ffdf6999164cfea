package gateway

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/fanout/index"
	"github.com/pushgate/pushgate/gateway/admin"
	"github.com/pushgate/pushgate/gateway/internal/client"
	"github.com/pushgate/pushgate/gateway/internal/conn"
	"github.com/pushgate/pushgate/gateway/internal/httpconn"
	"github.com/pushgate/pushgate/gateway/internal/limit"
	"github.com/pushgate/pushgate/gateway/internal/protocol"
	"github.com/pushgate/pushgate/gateway/internal/protocol/echo"
	"github.com/pushgate/pushgate/gateway/internal/protocol/longpoll"
	"github.com/pushgate/pushgate/gateway/internal/protocol/websocket"
	"github.com/pushgate/pushgate/gateway/internal/publish"
	"github.com/pushgate/pushgate/gateway/internal/queue"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// This file exports internals to the tests outside of the package: figures that no metric has, and
// events that only the loops know.

// IOUringOfTests is the way of all gateways under test, so that the whole suite can
// be run on both.
var IOUringOfTests = flag.String("io_uring", string(IOUringAuto), "socket.io_uring of the gateways under test: auto or off")

// Constants and functions that the tests compare with.
const (
	AcceptsPerSlice  = conn.AcceptsPerSlice
	ResponseBytes    = longpoll.ResponseBytes
	BeatEvery        = beatEvery
	ChannelBursts    = channelBursts
	ChannelsPerSlice = channelsPerSlice
	Coalesce         = longpoll.Coalesce
	CrowdedBytes     = client.CrowdedBytes
	DefaultWait      = protocol.DefaultWait
	EarlyPatience    = longpoll.EarlyPatience
	FramesPerMessage = websocket.FramesPerMessage
	FreeItems        = queue.FreeItems
	HandoverBytes    = client.HandoverBytes
	JobBytes         = publish.JobBytes
	KeptPercent      = keptPercent
	LargeBytes       = queue.LargeBytes
	Linger           = conn.Linger
	MaxEcho          = echo.MaxMessage
	MaxMessages      = protocol.MaxMessages
	MaxPending       = client.MaxPending
	MaxPipelined     = httpconn.MaxPipelined
	MaxPreflights    = limit.MaxPreflights
	MaxStrikes       = limit.MaxStrikes
	MaxWait          = protocol.MaxWait
	PublishShare     = client.PublishShare
	PublishTimeout   = publish.Timeout
	ReadBuffer       = conn.ReadBuffer
	ReadRequests     = httpconn.ReadRequests
	RetryMS          = client.RetryMS
	RetrySeconds     = httpconn.RetrySeconds
	Tick             = conn.Tick
	RejectTicks      = conn.RejectTicks
)

// Frame returns a client's frame.
var Frame = frame

// Figures returns the metrics by their series, as in gateway_closes_total{reason="slow"},
// without a request for them.
func (s *Server) Figures() (map[string]float64, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector{s})
	families, err := registry.Gather()
	figures := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for i, l := range m.GetLabel() {
				name += fmt.Sprintf("%s%s=%q", []string{"{", ","}[min(i, 1)], l.GetName(), l.GetValue())
			}
			if len(m.GetLabel()) > 0 {
				name += "}"
			}
			figures[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return figures, err
}

// Broker returns the server's link to Redis.
func (s *Server) Broker() *fanout.Broker { return s.broker }

// Loops returns the number of event loops.
func (s *Server) Loops() int { return len(s.shards) }

// Live returns the running configuration.
func (s *Server) Live() Config { return s.live.Load().Config }

// onLoops runs fn on the loop of each shard, one after the other, and waits for it.
func (s *Server) onLoops(fn func(*shard)) {
	for _, sh := range s.shards {
		done := make(chan struct{}) // closed by the loop
		sh.post(func() { defer close(done); fn(sh) })
		<-done
	}
}

// onLoop is onLoops for a gateway of one shard.
func (s *Server) onLoop(fn func(*shard)) {
	if n := len(s.shards); n != 1 {
		panic(fmt.Sprintf("the gateway has %d shards", n))
	}
	s.onLoops(fn)
}

// HoldLoops returns when all loops stand still. They do until release is called.
func (s *Server) HoldLoops() (release func()) {
	hold := make(chan struct{}) // closed by release
	var standing sync.WaitGroup
	for _, sh := range s.shards {
		standing.Add(1)
		sh.post(func() { standing.Done(); <-hold })
	}
	standing.Wait()
	return sync.OnceFunc(func() { close(hold) })
}

// Turn waits until each loop has had a turn.
func (s *Server) Turn() { s.onLoops(func(*shard) {}) }

// LoopTurn waits until the loop of one shard has had a turn.
func (s *Server) LoopTurn(n int) {
	done := make(chan struct{}) // closed by the loop
	s.shards[n].post(func() { close(done) })
	<-done
}

// Kept counts the shards' objects for clients that no metric counts.
type Kept struct {
	Connections, Rejected                int // slots; sockets without one
	Inputs, Polls, Deadlines, Tasks      int
	Unknown, Grants                      int // connections without a token; tokens
	Channels, Subscriptions              int
	Joins, Waiting, CatchingUp, CatchUps int // channels that are joined, and the requests for them
	Parked, Woken, HalfClosed, Paused    int // connections
	Publishing                           int // requests to publish that wait for Redis
	FreeTwice                            int // slots
}

// Kept returns the counts.
func (s *Server) Kept() (k Kept) {
	s.onLoops(func(sh *shard) { k.add(sh) })
	return k
}

func (k *Kept) add(sh *shard) {
	inputs, _ := sh.conns.Input.Used()
	hub := sh.inside().Kept()
	k.Connections += sh.conns.Slots.Len()
	k.Rejected += sh.conns.Acceptor.Rejected()
	k.Deadlines += sh.conns.Clock.Len()
	k.Inputs += inputs
	k.Polls += sh.polls.Setups() + sh.events.Unfinished()
	k.Tasks += hub.Tasks
	k.Unknown += sh.native.WithoutToken()
	k.Grants += hub.Grants
	k.Channels += hub.Channels
	k.Subscriptions += hub.Subscriptions
	k.Joins += hub.Joins
	k.Waiting += hub.Waiting
	k.CatchingUp += hub.CatchingUp
	k.CatchUps += hub.Behind
	sh.each(func(i uint32) {
		switch {
		case !sh.isPoll(i) || !sh.polls.IsSetUp(i):
		case sh.polls.IsWoken(i):
			k.Woken++
		default:
			k.Parked++
		}
		if sh.http.IsServing(i) && !sh.hub.IsOpen(i) {
			k.Publishing++
		}
		if sh.conns.Reading.IsHalf(i) && (!sh.isPoll(i) || sh.polls.IsSetUp(i)) {
			k.HalfClosed++
		}
		if sh.conns.Reading.IsPaused(i) {
			k.Paused++
		}
	})
	if !sh.conns.Sound() {
		k.FreeTwice++
	}
}

// inside returns the hub with the methods for tests.
func (s *shard) inside() client.Inside { return client.Inside{Hub: s.hub} }

// each calls fn for all connections.
func (s *shard) each(fn func(i uint32)) {
	for i := uint32(1); i < s.conns.Slots.End(); i++ {
		if s.conns.Slots.Exists(i) {
			fn(i)
		}
	}
}

// isPoll reports whether a connection is a poll.
func (s *shard) isPoll(i uint32) bool { return s.hub.IsOpen(i) && s.hub.Transport(i) == "poll" }

// Loop is the only shard's loop, in a turn of it.
type Loop struct{ s *shard }

// Post calls fn in a turn of the only shard's loop.
func (s *Server) Post(fn func(Loop)) { s.shards[0].post(func() { fn(Loop{s.shards[0]}) }) }

// EachTurn calls fn in each turn for as long as it returns true.
func (s *Server) EachTurn(fn func(Loop) bool) {
	s.Post(func(l Loop) {
		if fn(l) {
			s.EachTurn(fn)
		}
	})
}

// WhenWoken calls fn once on the only shard's loop, between the message for a poll and
// its response.
func (s *Server) WhenWoken(fn func(Loop)) {
	s.onLoop(func(sh *shard) {
		sh.polls.OnWoken = func() {
			sh.polls.OnWoken = nil
			fn(Loop{sh})
		}
	})
}

// Kept returns the shard's objects.
func (l Loop) Kept() (k Kept) { k.add(l.s); return k }

// Counted are some of the shard's counters.
type Counted struct{ Accepts, Deliveries, BytesIn, Answered uint64 }

// Counted returns them.
func (l Loop) Counted() Counted {
	st := l.s.conns.Stats()
	return Counted{st.Accepts, l.s.hub.Stats.Deliveries, st.BytesIn, st.Closes[reasons.CloseAnswered]}
}

// poll returns the slot of the shard's only poll, 0 when there is none.
func (l Loop) poll() (slot uint32) {
	l.s.each(func(i uint32) {
		if l.s.isPoll(i) {
			slot = i
		}
	})
	return slot
}

// SendPollAway ends the only poll as a rebalance does.
func (l Loop) SendPollAway() { l.s.leave(l.poll(), reasons.CloseRebalance) }

// DismissPoll ends it as the operator does.
func (l Loop) DismissPoll() { l.s.hub.Dismiss(l.poll(), 0) }

// LeaveBehind has the only poll begin so many messages before where it is in a
// channel.
func (l Loop) LeaveBehind(channel string, messages uint32) {
	all := l.s.hub.Channels.Index
	l.s.hub.Channels.Each(l.poll(), func(sub index.Sub, ch index.Channel) {
		if all.Name(ch) == channel {
			all.SetFrom(sub, all.From(sub)-messages)
		}
	})
}

// SetNow moves the shard's clock, and judges no deadline.
func (l Loop) SetNow(t time.Time) { l.s.conns.Clock.SetNow(l.s.srv.net.TickOf(t)) }

// Demoted returns how many clients have their turn last.
func (l Loop) Demoted() int { return l.s.conns.Reading.Demoted() }

// Unread reports whether the kernel has bytes of the only WebSocket.
func (l Loop) Unread() (unread bool) {
	l.s.each(func(i uint32) {
		if l.s.hub.Transport(i) == "websocket" {
			unread = l.s.conns.Waiting(i)
		}
	})
	return unread
}

// Populate adds to each shard connections without a socket, with a channel each.
func (s *Server) Populate(each int, channel func(shard, i int) string) {
	for k, sh := range s.shards {
		done := make(chan struct{})
		sh.post(func() {
			defer close(done)
			for i := range each {
				slot := sh.conns.AddWithoutSocket()
				sh.hub.Open(slot, sh.native.Kind, false)
				sh.inside().Crowd(slot, channel(k, i))
			}
		})
		<-done
	}
}

// Depopulate forgets all connections and channels.
func (s *Server) Depopulate() {
	s.onLoops(func(sh *shard) {
		sh.conns.Slots.Forget()
		sh.inside().Depopulate()
	})
}

// ChannelsOf returns the channels of a shard's clients, one for each subscription.
func (s *Server) ChannelsOf(n int) (names []string) {
	sh, done := s.shards[n], make(chan struct{})
	sh.post(func() {
		defer close(done)
		sh.each(func(i uint32) { names = append(names, sh.hub.Channels.Names(i)...) })
	})
	<-done
	return names
}

// Draining reports whether all shards are draining.
func (s *Server) Draining() bool {
	all := true
	s.onLoops(func(sh *shard) { all = all && sh.drain.reason == reasons.CloseDrain })
	return all
}

// Addresses returns how many connections are counted for how many addresses.
func (s *Server) Addresses() (connections, addresses int) { return s.net.Addresses.Totals() }

// SetOverrun bounds the messages in a shard awaiting delivery, in bytes.
func (s *Server) SetOverrun(bytes int) { s.onLoop(func(sh *shard) { sh.inside().SetPending(bytes) }) }

// SetHandover bounds the messages waiting for the loop, in bytes.
func (s *Server) SetHandover(bytes int64) {
	s.onLoop(func(sh *shard) { sh.inside().SetHandover(bytes) })
}

// Handover returns how many bytes wait for the loop to take them, and how many
// messages were dropped in their favour.
func (s *Server) Handover() (bytes int64, dropped uint64) { return s.shards[0].inside().Handover() }

// Judged returns up to when deadlines have been judged.
func (s *Server) Judged(t time.Time) (judged bool) {
	s.onLoop(func(sh *shard) { judged = sh.conns.Clock.Advanced() >= s.net.TickOf(t) })
	return judged
}

// PublishesWaiting returns the memory of clients' publishes without a result yet.
func (s *Server) PublishesWaiting() int64 { return s.clients.Publisher.Waiting() }

// SetDraining has the gateway say that it drains.
func (s *Server) SetDraining(on bool) { s.requests.Draining.Store(on) }

// Nodes returns the nodes as the operator sees them.
func (s *Server) Nodes(ctx context.Context) (admin.Fleet, error) { return operator{s}.Nodes(ctx) }

// FleetJudge returns the check of the nodes at each beat, in its initial state.
func FleetJudge(node string, log *slog.Logger) func(nodes []admin.Node, err error) {
	s := &Server{log: log}
	s.fleet = newFleet(s)
	s.net.Node = node
	return s.fleet.judge
}

// Crowd adds connections without a socket to the shards, of one channel and with a
// deadline each.
func (s *Server) Crowd(n int) {
	s.onLoops(func(sh *shard) { sh.fill(n / len(s.shards)) })
}

// DrainBegun reports whether the gateway says that it drains, also while its loops
// stand still.
func (s *Server) DrainBegun() bool { return s.requests.Draining.Load() }

// InputBytes returns the memory of incomplete client input, also after the loops have ended.
func (s *Server) InputBytes() int64 { return s.net.Inputs.Load() }

// OnWrite has fn called right before each write to a client, which then ends for the
// reason that fn returns, if any.
func (s *Server) OnWrite(fn func() reasons.Close) {
	s.onLoops(func(sh *shard) {
		sh.conns.Out.OnWrite(func(i uint32) {
			switch reason := fn(); reason {
			case "":
			case reasons.CloseReset:
				sh.conns.Release(i, reason)
			default:
				sh.hub.End(i, reason, "")
			}
		})
	})
}

// Left describes the shards' remaining objects for clients, empty for none.
func (s *Server) Left() string {
	var left []string
	s.onLoops(func(sh *shard) {
		queues, queued := sh.conns.Out.Used()
		inputs, inputBytes := sh.conns.Input.Used()
		kept := sh.inside().Kept()
		for name, n := range map[string]int{
			"connections": sh.conns.Slots.Len(), "subscriptions": sh.hub.Stats.Subscriptions, "inputs": inputs, "bytes of inputs": int(inputBytes),
			"queues": queues, "bytes of queues": int(queued), "setups": sh.polls.Setups() + sh.events.Unfinished(), "grants": kept.Grants,
			"sockets without a token": sh.native.WithoutToken(), "inputs behind requests": sh.native.Behind(), "joins": kept.Joins, "channels": kept.Channels, "tasks": kept.Tasks,
			"parked": kept.Parked, "marked": sh.conns.Closing(),
		} {
			if n != 0 {
				left = append(left, fmt.Sprintf("%d %s", n, name))
			}
		}
	})
	return strings.Join(left, ", ")
}

// fill adds connections that are slots, subscriptions and deadlines like all others, but have no
// socket.
func (s *shard) fill(n int) {
	for range n {
		i := s.conns.AddWithoutSocket()
		s.inside().Crowd(i, "everyone")
		s.conns.Clock.Set(i, s.conns.Clock.Now()+conn.Ticks(time.Hour))
	}
}
