package ratios

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/pushgate/pushgate/bench/client"
	"github.com/pushgate/pushgate/bench/rig"
)

// barePings is how often the bare loop pings every client.
const barePings = 10

// bare is the running bare loop.
type bare struct{ *rig.Piped }

// bare measures the bare loop.
func (l *lab) bare(ctx context.Context, f *figures) error {
	err := l.withBare(ctx, f, func(b *bare, t *target) error {
		if err := t.handshakes(ctx); err != nil {
			return err
		}
		t.send = func(n int) error {
			_, err := b.command(fmt.Sprintf("send %d %d", n, l.size))
			return err
		}
		t.batched = func() (float64, error) { return 0, nil }
		if err := t.deliveries(ctx); err != nil {
			return err
		}
		return b.pings(ctx, t)
	})
	if err != nil {
		return err
	}
	return l.withBare(ctx, f, func(_ *bare, t *target) error { return t.growth(ctx) })
}

func (l *lab) withBare(ctx context.Context, f *figures, fn func(*bare, *target) error) error {
	p, err := rig.LaunchPiped("bare", l.Command("bare"))
	if err != nil {
		return err
	}
	defer p.Kill()
	b := &bare{p}
	return l.with(b.Process, b.Listen, client.Speech{}, f, func(t *target) error { return fn(b, t) })
}

// command runs one command and returns the pongs so far. A write that was
// refused or a client that left spoils the measurement.
func (b *bare) command(line string) (pongs int, err error) {
	var s struct {
		Error                  string
		Pongs, Refused, Closed int
	}
	if _, err := fmt.Fprintln(b.In, line); err != nil {
		return 0, fmt.Errorf("bare: %s: %w", line, err)
	}
	response, err := b.Out.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(response, &s)
	}
	if err != nil {
		return 0, fmt.Errorf("bare: %s: %w; its log:\n%s", line, err, b.Log())
	}
	if s.Error != "" || s.Refused+s.Closed > 0 {
		return 0, fmt.Errorf("bare: %s: answered %s", line, response)
	}
	return s.Pongs, nil
}

// pings sets the ping's figure: all clients are pinged at once, and the next
// time once all pongs are in.
func (b *bare) pings(ctx context.Context, t *target) error {
	begin := t.CPU()
	for i := range barePings {
		want := (i + 1) * t.connections
		if _, err := b.command("ping"); err != nil {
			return err
		}
		if _, err := t.clients.Wait(ctx, "pings", func() bool { return t.clients.Pings == want }); err != nil {
			return err
		}
		err := b.Ready(ctx, "pongs are missing", func(context.Context) error {
			pongs, err := b.command("stats")
			if err == nil && pongs != want {
				err = fmt.Errorf("%d of %d", pongs, want)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	t.figures.ping = t.micros(begin) / float64(barePings*t.connections)
	return nil
}
