package growth

import (
	"context"
	"fmt"
	"strconv"

	"github.com/pushgate/pushgate/bench/chart"
)

// The figures of the parts without a hot channel. Memory is read with the
// clients of the step connected.
const (
	figureRSS      figure = "rss_bytes"
	figureLive     figure = "live_heap_bytes"
	figureCPU      figure = "cpu_per_delivery_us"
	figureKernel   figure = "kernel_share"
	figureLast     figure = "last_subscriber_p50_ms" // send to the last subscriber
	figureLastP99  figure = "last_subscriber_p99_ms"
	figureConnect  figure = "connect_seconds" // all clients, until each has its channels
	figurePerMsg   figure = "cpu_per_message_us"
	figureMessages figure = "messages"
	figureOthers   figure = "others_share" // of the box, taken by other programs
)

const (
	plainSize   = 128 // bytes of a message where its size is not the matter
	fewMessages = 3
	ms          = 1e6 // ns
)

// measureConnections has the clients of one gateway grow from one to the most,
// and then sends messages to each number of them.
func measureConnections(ctx context.Context, l *lab, s scale, r *result) error {
	site, err := l.open(ctx, s)
	if err != nil {
		return err
	}
	defer site.close()
	clients := append([]int{1}, s.Connections...)
	_, all, err := site.hold(ctx, clients, "all", s.Hold)
	if err != nil {
		return err
	}
	for i, m := range all {
		x := r.at(chart.Grouped(float64(clients[i])), float64(clients[i]))
		x.addMemory(m)
	}
	for _, n := range ordered(l, s.Connections) {
		l.say("messages to %d connections", n)
		if err := site.inTurn(ctx, r.at(chart.Grouped(float64(n)), 0), n, "all", plainSize, s.Deliveries/n); err != nil {
			return fmt.Errorf("%d connections: %w", n, err)
		}
	}
	return nil
}

// inTurn measures messages that are sent one after the other.
func (s *site) inTurn(ctx context.Context, x *step, clients int, channels string, size, messages int) error {
	p, err := s.publish(ctx, clients, channels, size, 0, max(messages, fewMessages))
	if err != nil {
		return err
	}
	x.addSent(p)
	x.add(figureLast, float64(p.Fanout.Completion.P50)/ms)
	x.add(figureLastP99, float64(p.Fanout.Completion.P99)/ms)
	return nil
}

// measureSubscriptions gives the clients of one gateway more and more channels,
// which they share, and then sends messages on all of them in turn.
func measureSubscriptions(ctx context.Context, l *lab, s scale, r *result) error {
	site, err := l.open(ctx, s)
	if err != nil {
		return err
	}
	defer site.close()
	for _, n := range s.Subscriptions {
		held, m, err := site.hold(ctx, []int{s.Subscribers}, each("s%d", n), s.Hold)
		if err != nil {
			return fmt.Errorf("%d subscriptions: %w", n, err)
		}
		x := r.at(fmt.Sprint(n), float64(n))
		x.addMemory(m[0])
		x.add(figureConnect, held.Connect.Seconds)
	}
	for _, n := range ordered(l, s.Subscriptions) {
		l.say("messages to clients with %d subscriptions", n)
		if err := site.inTurn(ctx, r.at(fmt.Sprint(n), 0), s.Subscribers, each("s%d", n), plainSize, s.Deliveries/s.Subscribers); err != nil {
			return fmt.Errorf("%d subscriptions: %w", n, err)
		}
	}
	return nil
}

// measureSizes sends larger and larger messages to the same clients, and the
// largest once more through a send buffer that holds it.
func measureSizes(ctx context.Context, l *lab, s scale, r *result) error {
	site, err := l.open(ctx, s)
	if err != nil {
		return err
	}
	defer site.close()
	// The steps in their order, whatever the way through them.
	for _, size := range s.Sizes {
		r.at(sizeText(size), float64(size))
	}
	for _, size := range ordered(l, s.Sizes) {
		if err := site.sized(ctx, s, r.at(sizeText(size), 0), size); err != nil {
			return err
		}
	}
	most := s.Sizes[len(s.Sizes)-1]
	wide, err := l.open(ctx, s, "--socket.send_buffer", strconv.Itoa(most))
	if err != nil {
		return err
	}
	defer wide.close()
	return wide.sized(ctx, s, r.at(wideStep, float64(most)), most)
}

// wideStep is the one with the larger send buffer.
const wideStep = "wide"

func (s *site) sized(ctx context.Context, sc scale, x *step, size int) error {
	s.lab.say("messages of %s", sizeText(size))
	messages := min(sc.Deliveries, sc.SizeBytes/size) / sc.Readers
	if err := s.inTurn(ctx, x, sc.Readers, "all", size, messages); err != nil {
		return fmt.Errorf("%s: %w", sizeText(size), err)
	}
	return nil
}

// sizeText writes a power of two.
func sizeText(n int) string {
	if n >= 1<<10 {
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d B", n)
}
