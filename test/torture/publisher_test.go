package torture

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pushgate/pushgate/internal/redistest"
)

// Channels of the witnesses, into which only their publishers publish. Missing plain ones must
// have been reported by a gap; clients that are too slow for dropped are not disconnected.
const (
	durableA = "witness.durable-a"
	durableB = "witness.durable-b"
	plain    = "witness.plain"
	dropped  = "witness.dropped"
)

// publication is the messages published to a channel, with the data 1, 2, 3, …
type publication struct {
	// Immutable
	channel string
	durable bool

	// Guarded by mu
	mu        sync.Mutex
	last      int
	uncertain map[int]bool // messages that Redis may never have had
}

// maybe reports whether a message may never have been published.
func (p *publication) maybe(n int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.uncertain[n]
}

func (p *publication) published() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

// startPublishers publishes to the witnesses' channels, and noise to the random clients' ones.
// stop ends that and waits.
func (r *round) startPublishers() (stop func()) {
	// Without a retry of its own, which could publish a plain message twice.
	client := redis.NewClient(&redis.Options{Addr: r.redis.Addr, Protocol: 2, DisableIdentity: true, MaxRetries: -1})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for i, p := range r.publications {
		random := rand.New(rand.NewPCG(r.seed, 1000+uint64(i)))
		running.Go(func() { p.run(ctx, r, client, random) })
	}
	running.Go(func() { noise(ctx, client, rand.New(rand.NewPCG(r.seed, 2000))) })
	return func() {
		cancel()
		running.Wait()
		client.Close()
	}
}

// run publishes numbers until the context ends. A durable message is repeated
// with its key until Redis says that it has it.
func (p *publication) run(ctx context.Context, r *round, client *redis.Client, random *rand.Rand) {
	for n := 1; ctx.Err() == nil; n++ {
		if p.durable {
			keys := []string{"{push:" + p.channel + "}:log", fmt.Sprintf("{push:%s}:once:%d", p.channel, n)}
			for end := time.Now().Add(patience); ; {
				err := redistest.PublishScript.Run(context.Background(), client, keys, "push:"+p.channel, n, 100000, 3600).Err()
				if err == nil {
					break
				}
				if time.Now().After(end) {
					r.fault("publishing to %s: %v", p.channel, err)
					return
				}
				pause(context.Background(), 5*time.Millisecond)
			}
		}
		p.mu.Lock()
		p.last = n
		if !p.durable {
			p.uncertain[n] = true
		}
		p.mu.Unlock()
		if !p.durable && client.Publish(context.Background(), "push:"+p.channel, n).Err() == nil {
			p.mu.Lock()
			delete(p.uncertain, n)
			p.mu.Unlock()
		}
		pause(ctx, time.Duration(random.IntN(60))*time.Millisecond)
	}
}

// noiseNames are the kinds of channels that the random clients use.
var noiseNames = []string{"noise.drop.", "noise.late.", "noise.kept.", "noise.kept-drop.", "noise.plain."}

// noiseChannel returns one of them.
func noiseChannel(random *rand.Rand) string {
	return fmt.Sprint(pick(random, noiseNames...), random.IntN(6))
}

// noise publishes whatever there is to the random clients' channels.
func noise(ctx context.Context, client *redis.Client, random *rand.Rand) {
	for ctx.Err() == nil {
		for range 1 + random.IntN(20) {
			channel := noiseChannel(random)
			var payload string
			switch random.IntN(8) {
			case 0:
				payload = strings.Repeat("x", random.IntN(60<<10))
			case 1:
				payload = strings.Repeat("ä\x00\xff", random.IntN(500))
			case 2:
				payload = `{"text":"` + strings.Repeat("y", random.IntN(6000)) + `"}`
			case 3:
				payload = "\x1e" + strings.Repeat("\x1e", random.IntN(4)) // a damaged durable one
			case 4:
				payload = strings.Repeat("z", 200<<10) // over limits.payload_bytes
			default:
				payload = fmt.Sprint(random.IntN(10))
			}
			if strings.HasPrefix(channel, "noise.kept") {
				redistest.PublishScript.Run(ctx, client, []string{"{push:" + channel + "}:log"}, "push:"+channel, payload, 100, 60)
			} else {
				client.Publish(ctx, "push:"+channel, payload)
			}
		}
		pause(ctx, time.Duration(random.IntN(40))*time.Millisecond)
	}
}
