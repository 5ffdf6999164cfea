package gateway_test

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pushgate/pushgate/configs"
	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/internal/gatewaytest"
	"github.com/pushgate/pushgate/internal/redistest"
)

var (
	resumeRounds = flag.Int("rounds", 0, "rounds in each setting of TestResume; 0: half a second or so of them")
	resumeSeed   = flag.Uint64("seed", 0, "seed of the first round of TestResume; 0: drawn from the clock")
)

// TestResume publishes numbered messages to some channels while clients connect, disconnect
// anywhere, change their transport and their node, and resume. Each of them has to see every number
// once and in order.
//
// A failure names its seed, which repeats the same choices:
//
//	go test ./gateway -run TestResume/SETTING -seed SEED
//
// The timing of concurrent work still varies.
func TestResume(t *testing.T) {
	tiny := func(c *fanout.Config) {
		c.Ring.Messages = 3
		c.Linger = 20 * time.Millisecond
	}
	forgetful := func(c *fanout.Config) {
		c.Ring.Age, c.Linger = 10*time.Millisecond, 10*time.Millisecond
		c.Ring.Bytes, c.Ring.TotalBytes = 8<<10, 8<<10
	}
	ample := func(c *fanout.Config) { c.Ring.Messages, c.Ring.Bytes = 4096, 16<<20 }
	for name, s := range map[string]setting{
		"one node":             {nodes: 1},
		"two nodes":            {nodes: 2},
		"tiny rings":           {nodes: 2, broker: tiny},
		"forgetful nodes":      {nodes: 2, broker: forgetful},
		"plain among durable":  {nodes: 1, plain: true, broker: ample},
		"nothing but plain":    {nodes: 1, plain: true, only: true, broker: ample},
		"unused at first":      {nodes: 2, unused: true, broker: tiny},
		"plain, small rings":   {nodes: 1, plain: true, gaps: true, broker: func(c *fanout.Config) { c.Ring.Messages = 3 }},
		"a gateway restarts":   {nodes: 2, upset: (*world).restartGateway},
		"redis restarts":       {nodes: 2, upset: (*world).restartRedis},
		"both, with tiny ones": {nodes: 2, broker: tiny, upset: func(w *world) { w.restartRedis(); w.restartGateway() }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, s)
			seed := *resumeSeed
			if seed == 0 {
				seed = uint64(time.Now().UnixNano())
			}
			begin := time.Now()
			enough := func(played int) bool {
				if *resumeRounds == 0 && *resumeSeed == 0 {
					return time.Since(begin) > 600*time.Millisecond
				}
				return played >= *resumeRounds
			}
			for i := 0; i == 0 || !t.Failed() && !enough(i); i++ {
				w.play(seed + uint64(i))
			}
		})
	}
}

// setting is a variant of TestResume.
type setting struct {
	nodes  int
	plain  bool // every other message is a plain one
	only   bool // and so are the others
	unused bool // the clients connect before the streams begin
	gaps   bool // plain messages may be lost, with a gap
	broker func(*fanout.Config)
	upset  func(*world) // happens once a round, amid it
}

// world is Redis and the gateways that the rounds of a setting share.
type world struct {
	setting
	t      *testing.T
	redis  *redistest.Server
	nodes  []atomic.Pointer[instance]
	addrs  []string // of the nodes: a late client must not meet another test's gateway
	rounds int
}

func newWorld(t *testing.T, s setting) *world {
	w := &world{setting: s, t: t}
	// Losses by a crash of Redis aren't this test's concern.
	w.redis = redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	w.nodes = make([]atomic.Pointer[instance], s.nodes)
	for i := range w.nodes {
		w.addrs = append(w.addrs, gatewaytest.Address(t))
		w.startGateway(i)
	}
	return w
}

func (w *world) startGateway(i int) {
	w.nodes[i].Store(startWith(w.t, w.redis, func(c *gateway.Config) { c.Listen = w.addrs[i] }, w.broker).ready())
}

func (w *world) restartGateway() {
	w.nodes[0].Load().halt()
	w.startGateway(0)
}

func (w *world) restartRedis() {
	w.redis.Kill()
	w.redis.Start()
}

// round is one set of channels with their publishers and clients.
type round struct {
	*world
	seed     uint64
	channels []string
	total    int // messages to each channel
	fail     context.CancelCauseFunc

	// Atomic
	published atomic.Int64

	// Guarded by mu
	mu  sync.Mutex
	ids map[string]map[int]string // of the durable messages, as the publishers got them
}

// play runs a round.
func (w *world) play(seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 0))
	ctx, stop := context.WithTimeout(context.Background(), 3*patience)
	defer stop()
	ctx, fail := context.WithCancelCause(ctx)
	r := &round{world: w, seed: seed, fail: fail, ids: make(map[string]map[int]string)}
	w.rounds++
	for i := range 1 + rng.IntN(4) {
		r.channels = append(r.channels, fmt.Sprintf("r%d.%d", w.rounds, i))
	}
	r.total = 20 + rng.IntN(100)
	var clients []*resumer
	for i := range 3 + rng.IntN(4) {
		clients = append(clients, newResumer(r, i))
	}
	if w.plain || w.unused {
		for _, c := range clients {
			c.arrive(ctx)
		}
	}
	for _, channel := range r.channels {
		r.publishFirst(channel)
	}
	var running sync.WaitGroup
	for i, channel := range r.channels {
		running.Go(func() { r.publish(ctx, channel, rand.New(rand.NewPCG(seed, 1000+uint64(i)))) })
	}
	for _, c := range clients {
		running.Go(func() { c.run(ctx) })
	}
	if w.upset != nil {
		eventually(w.t, "a third is published", func() bool {
			return ctx.Err() != nil || int(r.published.Load()) >= r.total*len(r.channels)/3
		})
		w.upset(w)
	}
	running.Wait()
	if err := context.Cause(ctx); err != nil {
		w.t.Errorf("seed %d: %v", seed, err)
		for _, c := range clients {
			w.t.Log(c)
		}
		return
	}
	for _, c := range clients {
		r.compare(c)
	}
}

// publishFirst begins a channel a minute ago: without a stream there would be no
// position that all nodes understand, and with a younger one none that reaches
// back before it.
func (r *round) publishFirst(channel string) {
	r.ids[channel] = make(map[int]string)
	if r.only {
		r.redis.Publish(channel, `{"n":0}`)
		return
	}
	if r.unused {
		for !r.burst(context.Background(), channel, 0, []string{""}, r.ids[channel]) {
			r.t.Log("publishing once more")
		}
		// A node that hasn't seen the stream yet takes the channel for a plain one.
		for i := range r.nodes {
			eventually(r.t, "all nodes have the first message", func() bool {
				return len(r.nodes[i].Load().poll(nil, "wait=0&cursor=0-0&channels="+channel).Messages) > 0
			})
		}
		return
	}
	ms := time.Now().Add(-time.Minute).UnixMilli()
	id := fmt.Sprintf("%d-0", ms)
	const payload = `{"n":0}`
	key := "{push:" + channel + "}:log"
	_, err := r.redis.Client.Pipelined(context.Background(), func(pipe redis.Pipeliner) error {
		pipe.Do(context.Background(), "XADD", key, fmt.Sprintf("%d-0", ms-60_000), "not ours", "1")
		pipe.Do(context.Background(), "XADD", key, id, "data", payload)
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.redis.Publish(channel, "\x1e"+id+"\x1e"+payload)
	r.ids[channel][0] = id
}

// compare checks the ids that a client saw.
func (r *round) compare(c *resumer) {
	for channel, ids := range r.ids {
		for n, id := range ids {
			if got := c.got[channel][n]; got != id {
				r.t.Errorf("seed %d: client %d got %d of %s as %q, it was published as %q", r.seed, c.number, n, channel, got, id)
			}
		}
	}
}

// publish writes all messages of a channel, one by one or in bursts.
func (r *round) publish(ctx context.Context, channel string, rng *rand.Rand) {
	ids := make(map[int]string)
	for n := 1; n < r.total && ctx.Err() == nil; {
		size := 1 + rng.IntN(3)
		if rng.IntN(8) == 0 {
			size = 10 + rng.IntN(60)
		}
		size = min(size, r.total-n)
		pads := make([]string, size)
		for i := range pads {
			if rng.IntN(4) == 0 {
				pads[i] = strings.Repeat("x", rng.IntN(3000))
			}
		}
		for !r.burst(ctx, channel, n, pads, ids) {
			// It may be restarting: the key detects messages already published.
			if ctx.Err() != nil {
				return
			}
			time.Sleep(time.Millisecond)
		}
		n += size
		r.published.Add(int64(size))
		if rng.IntN(3) > 0 {
			time.Sleep(time.Duration(rng.IntN(4000)) * time.Microsecond)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.Copy(r.ids[channel], ids)
}

// burst publishes a message for each of pads, numbered from n on: all or none,
// or a server that is just done with loading would take the last of them first.
func (r *round) burst(ctx context.Context, channel string, n int, pads []string, ids map[int]string) bool {
	results := make(map[int]*redis.Cmd)
	_, err := r.redis.Client.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, pad := range pads {
			n := n + i
			payload := fmt.Sprintf(`{"n":%d,"pad":%q}`, n, pad)
			if r.isPlain(n) {
				pipe.Publish(ctx, "push:"+channel, payload)
				continue
			}
			results[n] = pipe.Eval(ctx, configs.Publish,
				[]string{"{push:" + channel + "}:log", fmt.Sprintf("{push:%s}:once:%d", channel, n)},
				"push:"+channel, payload, 0, 3600)
		}
		return nil
	})
	if err != nil {
		return false
	}
	for n, cmd := range results {
		ids[n], _ = cmd.Text()
	}
	return true
}

// isPlain reports whether the message n is a plain one.
func (r *round) isPlain(n int) bool { return r.plain && (r.only || n%2 == 1) }

// done reports whether all of the numbers are there.
func (r *round) done(next map[string]int) bool {
	for _, channel := range r.channels {
		if next[channel] < r.total {
			return false
		}
	}
	return true
}

// node returns one of the gateways.
func (r *round) node(rng *rand.Rand) *instance { return r.nodes[rng.IntN(len(r.nodes))].Load() }

// earliest returns the first of some positions.
func earliest(at map[string]string) string {
	var list []message.Position
	for _, text := range at {
		p, err := message.ParsePosition(text)
		if err != nil {
			return ""
		}
		list = append(list, p)
	}
	return slices.MinFunc(list, func(a, b message.Position) int {
		return cmp.Or(cmp.Compare(a.Time(), b.Time()), cmp.Compare(a.Seq, b.Seq))
	}).String()
}

// violation is something that a client must never see.
type violation struct{ error }

func broken(format string, args ...any) error { return violation{fmt.Errorf(format, args...)} }

// run connects and disconnects until it has all numbers.
func (c *resumer) run(ctx context.Context) {
	for !c.done(c.next) {
		if ctx.Err() != nil {
			if context.Cause(ctx) == context.DeadlineExceeded {
				c.fail(fmt.Errorf("client %d is still waiting", c.number))
			}
			return
		}
		err := c.visit(ctx)
		var v violation
		if errors.As(err, &v) {
			c.log("%v", err)
			c.fail(fmt.Errorf("client %d: %w", c.number, err))
			return
		}
		if err != nil {
			c.log("ended: %v", err)
			time.Sleep(time.Duration(c.rng.IntN(3000)) * time.Microsecond)
		}
	}
}

func (c *resumer) String() string {
	at := slices.Sorted(maps.Keys(c.next))
	for i, channel := range at {
		at[i] = fmt.Sprintf("%s %d of %d", channel, c.next[channel], c.total)
	}
	lines := c.lines[max(0, len(c.lines)-30):]
	return fmt.Sprintf("client %d: %s\n\t%s", c.number, strings.Join(at, ", "), strings.Join(lines, "\n\t"))
}
