// Growth measures how the gateway's costs grow: with connections, channels,
// subscriptions and the size of messages, and what one hot channel does to quiet
// ones. It builds the gateway and starts it and a redis-server itself, on free
// ports of the loopback; internal/loadgen is the load. Its results are kept as
// JSON and written up in a page with charts.
//
//	go run ./bench/growth
//	go run ./bench/growth -part channels,hot
//	go run ./bench/growth -render
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// part is one cost and what it is to grow with.
type part struct {
	name string
	// measure adds one value of each figure to the result.
	measure func(ctx context.Context, l *lab, s scale, r *result) error // one round
	// write adds the part's section to the page.
	write func(p *page, r *result)
}

// parts are in the order of the page.
var parts = []part{
	{"connections", measureConnections, writeConnections},
	{"channels", measureChannels, writeChannels},
	{"subscriptions", measureSubscriptions, writeSubscriptions},
	{"sizes", measureSizes, writeSizes},
	{"hot", measureHot, writeHot},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], full)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "growth:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, s scale) error {
	flags := flag.NewFlagSet("growth", flag.ContinueOnError)
	only := flags.String("part", "", "comma-separated `names` of what to measure, all by default: "+strings.Join(names(), ", "))
	repeat := flags.Int("repeat", 3, "how often each step is measured")
	docs := flags.String("docs", "docs", "`folder` of GROWTH.md and of growth/ with the results and charts")
	render := flags.Bool("render", false, "measure nothing, write the page anew from the results that are kept")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 || *repeat < 1 {
		return errors.New("unexpected argument, or -repeat below 1")
	}
	if !*render {
		chosen, err := choose(*only)
		if err != nil {
			return err
		}
		if err := measure(ctx, chosen, s, *repeat, *docs); err != nil {
			return err
		}
	}
	return writePage(*docs)
}

func names() []string {
	var all []string
	for _, p := range parts {
		all = append(all, p.name)
	}
	return all
}

// choose finds the parts of a comma-separated list.
func choose(list string) ([]part, error) {
	if list == "" {
		return parts, nil
	}
	var chosen []part
	for name := range strings.SplitSeq(list, ",") {
		i := slices.IndexFunc(parts, func(p part) bool { return p.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no part %q, only %s", name, strings.Join(names(), ", "))
		}
		chosen = append(chosen, parts[i])
	}
	return chosen, nil
}

// measure runs the parts one after the other and keeps each one's result.
func measure(ctx context.Context, chosen []part, s scale, repeat int, docs string) error {
	l, err := newLab(ctx, s.Tries)
	if err != nil {
		return err
	}
	defer l.close()
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
		if err := r.keep(filepath.Join(docs, "growth")); err != nil {
			return err
		}
	}
	return nil
}
