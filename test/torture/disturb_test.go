package torture

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"time"
)

// disturb has everything around the clients go wrong for a while, one thing after
// the other; in the middle the gateway is restarted. It runs in the test's own
// goroutine.
func (r *round) disturb(random *rand.Rand, lasting time.Duration, clients int, set *settings) {
	ctx, cancel := context.WithTimeout(context.Background(), lasting)
	defer cancel()
	restart := r.begun // the earliest moment for it
	if lasting > 0 {
		restart = time.Now().Add(lasting / 2)
	}
	for restarted := false; ctx.Err() == nil && !r.gateway.Ended(); {
		pause(ctx, time.Duration(20+random.IntN(300))*time.Millisecond)
		if !restarted && time.Now().After(restart) {
			restarted = true
			r.gateway.restart(random)
			continue
		}
		switch random.IntN(8) {
		case 0:
			r.reconfigure(random, clients, set)
		case 1:
			r.failRedis(ctx, random)
		default:
			r.operate(random)
		}
	}
}

// reconfigure changes a running gateway's reloadable settings, or tries to with a bad file.
func (r *round) reconfigure(random *rand.Rand, clients int, set *settings) {
	next := *set
	next.draw(random, clients)
	text := next.yaml()
	if chance(random, 20) {
		r.gateway.refused = true
		r.gateway.configure(strings.Replace(text, "head_bytes: ", "head_bites: ", 1))
		// It must read the bad file: the good one follows once that was refused.
		before := r.gateway.refusals()
		r.gateway.Signal(syscall.SIGHUP)
		if !until(func() bool { return r.gateway.refusals() > before || r.gateway.Ended() }) {
			r.fault("a wrong configuration was not refused")
		}
	}
	r.gateway.configure(text)
	r.gateway.Signal(syscall.SIGHUP)
}

// failRedis has the server fail in one of its ways.
func (r *round) failRedis(ctx context.Context, random *rand.Rand) {
	length := time.Duration(100+random.IntN(1200)) * time.Millisecond
	client := r.redis.Client
	switch random.IntN(5) {
	case 0:
		client.Do(ctx, "CLIENT", "PAUSE", fmt.Sprint(length.Milliseconds()), "ALL")
		pause(ctx, length)
	case 1:
		client.Do(ctx, "CLIENT", "KILL", "TYPE", "pubsub")
	case 2:
		client.Do(ctx, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	case 3:
		r.redis.Signal(syscall.SIGSTOP)
		pause(ctx, length)
		r.redis.Signal(syscall.SIGCONT)
	case 4:
		r.redis.Kill()
		pause(ctx, length)
		r.redis.Start()
	}
}
