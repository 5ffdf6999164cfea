// Package growth measures how the gateway's costs grow: with connections,
// channels, subscriptions and the size of messages, and the effect of one hot
// channel on quiet ones. It builds the gateway and starts it and a redis-server
// itself; internal/loadgen is the load. Its results are kept as JSON and written
// up in a page with charts.
//
//	bench growth
//	bench growth -part channels,hot
//	bench growth -render
package growth

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/pushgate/pushgate/bench/page"
	"github.com/pushgate/pushgate/bench/rig"
)

// part is one cost and the load that it is to grow with.
type part struct {
	name string
	// measure adds one value of each figure to the result.
	measure func(ctx context.Context, l *lab, s scale, r *result) error // one round
}

// parts are in the order of the page.
var parts = []part{
	{"connections", measureConnections},
	{"channels", measureChannels},
	{"subscriptions", measureSubscriptions},
	{"sizes", measureSizes},
	{"hot", measureHot},
}

func (p part) String() string { return p.name }

// Run measures and writes the page.
func Run(ctx context.Context, args []string, _ io.Writer) error { return run(ctx, args, full) }

func run(ctx context.Context, args []string, s scale) error {
	flags := rig.NewFlags("growth")
	only := flags.String("part", "", "comma-separated `names` of the costs to measure, all by default: "+rig.Names(parts, part.String))
	var repeat int
	flags.Int(&repeat, "repeat", 3, 1, 1000, "how `often` each step is measured")
	docs := flags.String("docs", "docs", "`folder` of GROWTH.md and of growth/ with the results and charts")
	render := flags.Bool("render", false, "measure nothing, write the page from the results that are kept")
	if err := flags.Parse(args); err != nil {
		return err
	}
	chosen, err := rig.Choose(*only, parts, part.String)
	if err != nil {
		return err
	}
	if !*render {
		if err := measure(ctx, chosen, s, repeat, *docs); err != nil {
			return err
		}
	}
	return writePage(*docs)
}

// measure runs the parts one after the other and keeps each one's result.
func measure(ctx context.Context, chosen []part, s scale, repeat int, docs string) error {
	l, err := newLab(ctx, s.Tries)
	if err != nil {
		return err
	}
	defer l.Close()
	for _, p := range chosen {
		r := newResult(p.name, s, repeat)
		began := time.Now()
		for round := range repeat {
			l.round = round
			l.say("%s, %d of %d", p.name, round+1, repeat)
			if err := p.measure(ctx, l, s, r); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
		}
		r.Seconds = time.Since(began).Seconds()
		if err := r.complete(); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		if err := page.Keep(filepath.Join(docs, "growth"), p.name, r); err != nil {
			return err
		}
	}
	return nil
}
