package torture

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/pushgate/pushgate/internal/gatewaytest"
)

// witnesses is their number, with the watcher of /healthz.
const witnesses = 7

// witness is a client that does as it should: it reconnects with its positions, and judges its
// messages. Only its own goroutine touches it, but for the books.
type witness struct {
	// Immutable
	r       *round
	fault   func(format string, args ...any) // notes a failure
	name    string
	loose   bool // it may get messages again after a reconnect: an event stream of several channels
	books   map[string]*book
	journal *journal
	random  *rand.Rand

	// Owned by the witness' goroutine
	client gatewaytest.Client
	stream bool          // an event stream: it has its place once it has a position
	waits  int           // channels that the connection has no place in yet
	placed chan struct{} // closed once it has its place in all channels
}

// book is a witness' record of a channel.
type book struct {
	// Immutable
	p *publication

	// Owned by the witness' goroutine
	gap    bool // was reported since the last message
	behind int  // the last message of this connection, where it began again

	// Guarded by mu
	mu   sync.Mutex
	last int
}

// seen returns the last message's number.
func (b *book) seen() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last
}

// newWitness returns one for some of the channels.
func (r *round) newWitness(name string, jwt bool, channels ...string) *witness {
	w := &witness{r: r, fault: r.fault, name: name, books: map[string]*book{}, placed: make(chan struct{}),
		journal: r.newJournal("witness-" + name), random: rand.New(rand.NewPCG(r.seed, 3000))}
	for _, p := range r.publications {
		for _, channel := range channels {
			if p.channel == channel {
				w.books[channel] = &book{p: p}
			}
		}
	}
	w.client = gatewaytest.Client{Base: "http://" + r.gateway.Public, Channels: channels, Take: w.take}
	if jwt {
		w.client.Header = http.Header{"Authorization": {"Bearer " + token(claims{Subject: "witness", Subscribe: []string{"witness.*"}}, time.Hour)}}
	}
	return w
}

// startWitnesses starts the good clients and waits until each has its place in all channels.
// stop waits until they have got all published messages, ends them and waits for that.
func (r *round) startWitnesses(jwt bool) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	var all []*witness
	for _, start := range []struct {
		w   *witness
		run func(*witness, context.Context)
	}{
		{r.newWitness("websocket", jwt, durableA, durableB, plain, dropped), (*witness).webSocket},
		{r.newWitness("websocket-one", jwt, dropped), (*witness).webSocket},
		{r.newWitness("events-one", jwt, durableA), (*witness).events},
		{r.newWitness("events", jwt, durableA, durableB, plain), (*witness).events},
		{r.newWitness("polls", jwt, durableA, durableB, plain), (*witness).polls},
		{r.newWitness("polls-one", jwt, durableB), (*witness).polls},
	} {
		w := start.w
		w.loose = w.name == "events"
		all = append(all, w)
		running.Go(func() { start.run(w, ctx) })
	}
	r.t.Cleanup(cancel)
	for _, w := range all {
		select {
		case <-w.placed:
		case <-time.After(patience):
			r.t.Fatalf("the witness %s gets no place", w.name)
		}
	}
	return func() {
		for _, w := range all {
			if !until(w.complete) {
				r.fault("the witness %s hasn't got all: %s", w.name, w.standing())
			}
		}
		cancel()
		running.Wait()
	}
}

// complete reports whether it has all durable messages.
func (w *witness) complete() bool {
	for _, b := range w.books {
		if b.p.durable && b.seen() < b.p.published() {
			return false
		}
	}
	return true
}

func (w *witness) standing() string {
	text := ""
	for channel, b := range w.books {
		text += fmt.Sprintf("%s %d of %d; ", channel, b.seen(), b.p.published())
	}
	return text
}

// back notes that a new connection begins.
func (w *witness) back() {
	for _, b := range w.books {
		b.behind = -1
	}
}

// gapped takes note of a gap.
func (w *witness) gapped(channel, reason string) {
	w.journal.note("gap of %s: %s", channel, reason)
	b := w.books[channel]
	if b == nil {
		w.fault("the witness %s is told of a gap in %q", w.name, channel)
		return
	}
	b.gap = true
	if b.p.durable && reason != "slow" {
		w.fault("the witness %s is told of a gap in %s, whose messages are durable: %s (it has %d)", w.name, channel, reason, b.seen())
	}
}

// message takes note of a message, and judges it by those before it.
func (w *witness) message(channel string, data json.RawMessage) {
	b := w.books[channel]
	n, err := strconv.Atoi(string(data))
	if b == nil || err != nil {
		w.fault("the witness %s got %s of %q", w.name, data, channel)
		return
	}
	defer func() { b.gap = false }()
	last := b.seen()
	if w.loose && b.behind < last && n <= last {
		if b.behind > 0 && n <= b.behind {
			w.fault("the witness %s got %d of %s after %d", w.name, n, channel, b.behind)
		}
		b.behind = n
		return
	}
	if n <= last {
		w.fault("the witness %s got %d of %s again, after %d", w.name, n, channel, last)
		return
	}
	for missing := last + 1; missing < n && !b.gap; missing++ {
		if b.p.durable || !b.p.maybe(missing) {
			w.fault("the witness %s misses %d of %s, without a gap: %d came after %d", w.name, missing, channel, n, last)
			break
		}
	}
	b.behind = n
	b.mu.Lock()
	b.last = n
	b.mu.Unlock()
}

// await waits a little before a reconnect.
func (w *witness) await(ctx context.Context) {
	pause(ctx, time.Duration(20+w.random.IntN(100))*time.Millisecond)
}

// isPlaced notes that it has its place in all channels.
func (w *witness) isPlaced() {
	select {
	case <-w.placed:
	default:
		close(w.placed)
	}
}
