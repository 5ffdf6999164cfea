// Package catchup measures a storm of clients that come back at once: all of
// them subscribe to one channel since a durable message a hundred messages back,
// while the channel goes on. Each has to get all it missed and the messages that
// are published meanwhile, every one once and in order.
//
// It starts a redis-server and a gateway of its own. In turn the clients
//
//	reconnect, cold   connect to a gateway that has just been started and
//	                  knows nothing of the channel
//	reconnect, warm   connect again; the gateway has the messages in memory
//	subscribe, cold   are connected already, and only subscribe
//
// A line says after how long half of the clients, 99 % of them and the last
// one were caught up, counted from the start of all; how often Redis was asked
// for a part of the stream (XRANGE and XREVRANGE) by its own count; and how much
// CPU time the gateway used.
package catchup

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pushgate/pushgate/bench/client"
	"github.com/pushgate/pushgate/bench/rig"
)

// channel is the one that all clients come back to.
const channel = "storm"

// options are the command line's.
type options struct {
	clients  int
	behind   int // messages that each client has missed
	live     int // messages that are published during a storm
	size     int // bytes of payload
	inFlight int // connections under way at a time
}

func parse(args []string) (o options, err error) {
	most, err := rig.MostClients()
	if err != nil {
		return o, err
	}
	flags := rig.NewFlags("catchup")
	flags.Int(&o.clients, "n", 5000, 1, most, "`clients`")
	flags.Int(&o.behind, "behind", 100, 1, 100_000, "`messages` that each client has missed")
	flags.Int(&o.live, "live", 20, 0, 100_000, "`messages` that are published during a storm")
	flags.Int(&o.size, "size", 128, 16, 32<<10, "`bytes` of payload")
	flags.Int(&o.inFlight, "c", 1000, 1, 1<<20, "`connections` under way at a time")
	return o, flags.Parse(args)
}

// result is one storm's.
type result struct {
	name            string
	half, most, all float64       // seconds until so many clients were caught up
	reads           int           // of the stream, by Redis' count
	cpu             time.Duration // of the gateway
}

// Run measures all storms and prints a line for each.
func Run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d clients, %d messages of %d bytes behind, %d more during the storm\n\n", o.clients, o.behind, o.size, o.live)
	fmt.Fprintf(out, "%-18s %9s %9s %9s %12s %12s\n", "", "50 %", "99 %", "all", "stream reads", "gateway CPU")
	results, err := storms(ctx, o)
	for _, r := range results {
		fmt.Fprintf(out, "%-18s %6.0f ms %6.0f ms %6.0f ms %12d %9d ms\n", r.name, 1e3*r.half, 1e3*r.most, 1e3*r.all, r.reads, r.cpu.Milliseconds())
	}
	return err
}

// storms runs one storm after the other.
func storms(ctx context.Context, o options) (results []result, err error) {
	l, err := rig.NewLab(ctx, "cmd/gateway")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	u := &upstream{Redis: l.Redis}
	if err := u.publish(ctx, 2*o.behind, o.size, false); err != nil {
		return nil, err
	}
	var g *rig.Gateway
	defer func() {
		if g != nil {
			g.Kill()
		}
	}()
	for _, s := range []struct {
		name      string
		cold      bool
		connected bool // the clients are, before they subscribe
	}{
		{"reconnect, cold", true, false},
		{"reconnect, warm", false, false},
		{"subscribe, cold", true, true},
	} {
		if s.cold {
			if g != nil {
				g.Kill()
			}
			if g, err = l.Gateway(ctx, "--limits.connections", fmt.Sprint(o.clients+1)); err != nil {
				return results, err
			}
		}
		r, err := storm(ctx, o, u, g, s.connected)
		if err != nil {
			return results, fmt.Errorf("%s: %w; the gateway's log:\n%s", s.name, err, g.Log())
		}
		r.name = s.name
		results = append(results, r)
	}
	return results, nil
}

// storm has all clients come back at once, connected before they subscribe or
// not.
func storm(ctx context.Context, o options, u *upstream, g *rig.Gateway, connected bool) (r result, err error) {
	next := u.published - o.behind
	caught, last := u.published-1, u.published+o.live-1
	since := u.ids[next-1]
	path := "/v1/ws?channels=" + channel + "&cursor=" + since
	if connected {
		path = "/v1/ws"
	}
	// A handshake is done with its response: the subscription's confirmation
	// waits for Redis.
	c, err := client.New(client.Options{
		Remote: g.Listen, Clients: o.clients, InFlight: o.inFlight, Request: client.Same(client.WebSocketRequest(path, g.Listen)),
		Messages: last + 1, First: next, Strict: true, Speech: client.Speech{
			Message: `{"type":"message"`, Number: `","data":{"n":`, Known: []string{`{"type":"welcome"`, `{"type":"subscribed"`},
		},
	})
	if err != nil {
		return r, err
	}
	defer c.Close()
	if err := empty(ctx, g); err != nil {
		return r, err
	}
	if connected {
		if err := c.Connect(ctx, o.clients); err != nil {
			return r, err
		}
	}
	before, err := u.reads(ctx)
	if err != nil {
		return r, err
	}
	begin := g.CPU()
	c.Do(func() {
		c.Messages[caught].Begin(o.clients)
		if connected {
			c.SendAll(fmt.Sprintf(`{"type":"subscribe","channel":%q,"since":%q}`, channel, since))
		} else {
			c.DialUpTo(o.clients)
		}
	})
	for range o.live {
		if err := u.publish(ctx, 1, o.size, true); err != nil {
			return r, err
		}
		if err := rig.Pause(ctx, 10*time.Millisecond); err != nil {
			return r, err
		}
	}
	_, err = c.Wait(ctx, "all messages", func() bool { return c.Messages[last].Count == o.clients })
	r.cpu = g.CPU() - begin
	c.Do(func() {
		p := c.Messages[caught]
		r.half, r.most, r.all = client.At(p.Curve, p.Goal, 0.5), client.At(p.Curve, p.Goal, 0.99), client.At(p.Curve, p.Goal, 1)
		if err != nil {
			err = fmt.Errorf("%d of %d clients caught up, %d finished: %w", p.Count, o.clients, c.Messages[last].Count, err)
		}
	})
	if err != nil {
		return r, err
	}
	after, err := u.reads(ctx)
	r.reads = after - before
	return r, err
}

// empty waits until the gateway has noticed that the clients of the storm before
// have left: they count towards its limit, and their end is no part of this storm.
func empty(ctx context.Context, g *rig.Gateway) error {
	return g.Ready(ctx, "wait until all clients have left", func(ctx context.Context) error {
		m, err := g.Metrics(ctx)
		if n := m["gateway_connections"]; n > 0 {
			err = fmt.Errorf("%.0f are connected", n)
		}
		return err
	})
}

// upstream is the Redis and the messages that were published to it.
type upstream struct {
	*rig.Redis
	ids       []string // of all messages, by their numbers
	published int
}

// publish adds n durable messages to the stream and, with tell, publishes them
// in the form of the publish script.
func (u *upstream) publish(ctx context.Context, n, size int, tell bool) error {
	_, err := u.Client.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		for range n {
			data := fmt.Sprintf(`{"n":%d}`, u.published)
			data += strings.Repeat(" ", max(0, size-len(data))) // white space behind JSON is JSON
			id := fmt.Sprintf("%d-%d", time.Now().UnixMilli(), u.published)
			pipe.Do(ctx, "XADD", "{"+rig.RedisPrefix+channel+"}:log", id, "data", data)
			if tell {
				pipe.Publish(ctx, rig.RedisPrefix+channel, "\x1e"+id+"\x1e"+data)
			}
			u.ids = append(u.ids, id)
			u.published++
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	return nil
}

// reads returns how often a part of a stream was asked for.
func (u *upstream) reads(ctx context.Context) (total int, err error) {
	stats := u.Client.InfoMap(ctx, "commandstats")
	for _, command := range []string{"xrange", "xrevrange", "xread"} {
		var n int
		fmt.Sscanf(stats.Item("Commandstats", "cmdstat_"+command), "calls=%d", &n) // an error: never
		total += n
	}
	return total, stats.Err()
}
