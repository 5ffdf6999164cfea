package growth

import (
	"context"
	"fmt"
	"strings"

	"github.com/pushgate/pushgate/bench/chart"
)

// spreads are the ways in which the clients' subscriptions are spread. First as
// many over more and more channels, one for each client, until each client has a
// channel of its own; then each has more and more of its own. The last has as many
// subscriptions as the one before, to few channels.
type spread struct {
	name      string
	channels  int
	templates string
	perClient int
}

func spreads(s scale) (all []spread) {
	for _, n := range s.Channels {
		all = append(all, spread{chart.Grouped(float64(n)), n, fmt.Sprintf("c.%%d{%d}", n), 1})
	}
	for _, k := range s.Own {
		all = append(all, spread{fmt.Sprintf("%d own", k), k * s.Clients, each("c%d.%%i", k), k})
	}
	k := s.Own[len(s.Own)-1]
	return append(all, spread{fmt.Sprintf("%d shared", k), k, each("c%d", k), k})
}

func measureChannels(ctx context.Context, l *lab, s scale, r *result) error {
	all := spreads(s)
	for _, x := range all {
		r.at(x.name, float64(x.channels))
	}
	for _, x := range ordered(l, all) {
		l.say("%d channels, %d for each client", x.channels, x.perClient)
		if err := l.spread(ctx, s, r.at(x.name, 0), x); err != nil {
			return fmt.Errorf("%s: %w", x.name, err)
		}
	}
	return nil
}

// each makes a list of templates from a pattern for their numbers.
func each(pattern string, n int) string {
	var all []string
	for k := range n {
		all = append(all, fmt.Sprintf(pattern, k))
	}
	return strings.Join(all, ",")
}

// spread measures one of them with a gateway of its own: it keeps the channels of
// those who left for a minute.
func (l *lab) spread(ctx context.Context, s scale, x *step, by spread) error {
	site, err := l.open(ctx, s)
	if err != nil {
		return err
	}
	defer site.close()
	held, m, err := site.hold(ctx, []int{s.Clients}, by.templates, s.Hold)
	if err != nil {
		return err
	}
	x.addMemory(m[0])
	x.add(figureConnect, held.Connect.Seconds)
	rate := float64(s.SpreadRate) * x.At / float64(s.Clients*by.perClient)
	messages := max(int(rate*s.SpreadFor.Seconds()), fewMessages)
	p, err := site.publish(ctx, s.Clients, by.templates, plainSize, rate, messages)
	if err != nil {
		return err
	}
	x.addSent(p)
	x.add(figurePerMsg, p.cpu*float64(p.Fanout.Delivered)/float64(messages))
	return nil
}
