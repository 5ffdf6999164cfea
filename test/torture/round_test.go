package torture

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/pushgate/pushgate/internal/redistest"
)

// patience is the longest wait for a condition.
const patience = 40 * time.Second

// round is one play of a seed.
type round struct {
	// Immutable
	t       *testing.T
	seed    uint64
	redis   *redistest.Server
	gateway *gateway
	shared  *shared
	begun   time.Time
	// Of the witnesses' publishers.
	publications []*publication

	// Guarded by mu
	mu       sync.Mutex
	faults   int
	journals []*journal // of the random clients
}

// fault notes a failure. The journals of the clients that saw it are printed.
func (r *round) fault(format string, args ...any) {
	r.t.Helper()
	r.mu.Lock()
	r.faults++
	n := r.faults
	r.mu.Unlock()
	if n <= 20 {
		r.t.Errorf("%v: %s", time.Since(r.begun).Round(time.Millisecond), fmt.Sprintf(format, args...))
	}
}

// play plays a round: everything at once for a while, then the good clients must have got all
// their messages, and once all have gone nothing may be left.
func play(t *testing.T, seed uint64) {
	lasting, n := extent()
	random := rand.New(rand.NewPCG(seed, 0))
	set := drawSettings(random, n)
	r := &round{t: t, seed: seed, begun: time.Now(), shared: &shared{}}
	// An acknowledged publish outlives the server's crash.
	r.redis = redistest.Start(t, "--appendonly", "yes", "--appendfsync", "no", "--loglevel", "warning")
	for _, channel := range []string{durableA, durableB, plain, dropped} {
		durable := channel == durableA || channel == durableB
		r.publications = append(r.publications, &publication{channel: channel, durable: durable, uncertain: map[int]bool{}})
	}
	t.Cleanup(func() { r.report() })
	r.gateway = startGateway(r, set)
	empty := r.gateway.holdings()

	stopGood := r.startWitnesses(set.jwt)
	stopPublishers := r.startPublishers()
	stopHealth := r.watchHealth()
	stopClients := r.startClients(n, &set)
	r.disturb(random, lasting, n, &set)
	stopClients()
	stopPublishers()
	stopGood()
	stopHealth()
	if t.Failed() {
		return
	}
	r.gateway.emptied(empty)
	r.gateway.stop()
}

// startClients starts the random clients. stop ends them and waits.
func (r *round) startClients(n int, set *settings) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for i := range n {
		c := newClient(r, i, set)
		r.mu.Lock()
		r.journals = append(r.journals, c.journal)
		r.mu.Unlock()
		running.Go(func() { c.run(ctx) })
	}
	return func() {
		cancel()
		running.Wait()
	}
}

// report keeps the evidence of a failed round: journals, log and configuration.
func (r *round) report() {
	if !r.t.Failed() || r.gateway == nil {
		return
	}
	race, lasting, n := "", time.Duration(0), 0
	if *tortureRace {
		race = " -torture.race"
	}
	lasting, n = extent()
	dir := filepath.Join("..", "..", "out", "torture", fmt.Sprint(r.seed))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		r.t.Error(err)
		return
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			r.t.Error(err)
		}
	}
	write("gateway.log", r.gateway.Log())
	if text, err := os.ReadFile(r.gateway.file); err == nil {
		write("gateway.yaml", string(text))
	}
	for _, j := range r.journals {
		write(j.name+".txt", j.text())
	}
	r.t.Logf("again: go test ./test/torture -count=1 -run '^TestTorture$' -args -torture.seed %d -torture.round %v -torture.clients %d%s\n"+
		"the log, the configuration and each client's steps are in out/torture/%d", r.seed, lasting, n, race, r.seed)
}

// until waits for fn to return true, and reports whether it did.
func until(fn func() bool) bool {
	for end := time.Now().Add(patience); !fn(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// pause waits, unless the context ends before that.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
