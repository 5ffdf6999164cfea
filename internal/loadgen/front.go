package loadgen

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"time"
)

// front is what a loop knows of a proxy between its clients and the gateway:
// there is one where answers name it (Via or Server, which a gateway doesn't
// send), or where it is the program that listens at the target. A connection that
// ends without a word is then the proxy's doing or the gateway's, nobody can
// tell which. It is no loss: the client comes back as a real one does, with the
// position of its last message.
type front struct {
	name string           // empty: no proxy is known
	away map[uint32]int64 // ns, when a client was cut that is not back, by slot
}

// strandedAfter is how long a client may be away before it counts as not having
// come back: where a proxy cuts without end, there is always somebody on the way.
const strandedAfter = 5 * time.Second

// proxies are the programs that pass connections on, by the names of their
// processes.
var proxies = []string{"nginx", "haproxy", "envoy", "caddy", "traefik", "varnishd", "apache2", "httpd", "squid"}

// proxyAt returns the name of the proxy that listens at a target on this host;
// empty where it is none, or can't be seen.
func proxyAt(target *Target) string {
	w, err := findServer(0, target, false)
	if err != nil {
		return ""
	}
	return proxyName(w.name)
}

// proxyName returns the name of a process that is a proxy.
func proxyName(process string) string {
	if slices.Contains(proxies, process) {
		return process
	}
	return ""
}

// meet notes that there is a proxy. From now on positions are kept.
func (l *loop) meet(name string) {
	if l.plan.Foreign {
		return // who answers is the server itself
	}
	if l.front.name != "" || name == "" {
		return
	}
	l.front = front{name: name, away: make(map[uint32]int64)}
	l.keepPositions()
}

// meet takes the name that loops or processes know a proxy by.
func (s *snapshot) meet(name string) {
	if s.Proxy == "" {
		s.Proxy = name
	}
}

// intermediary returns the name of whoever says in an answer's head that it
// passed the answer on, without its version.
func (h *head) intermediary() string {
	name := h.server
	if len(h.via) > 0 {
		// RFC 9110 section 7.6.3: protocol, then name or address, then a comment.
		_, name, _ = bytes.Cut(h.via, []byte(" "))
	}
	name = bytes.TrimSpace(name)
	if i := bytes.IndexAny(name, "/ ,;("); i >= 0 {
		name = name[:i]
	}
	return string(printable(name[:min(len(name), maxReasonText)]))
}

func (f *front) isAway(slot uint32) bool {
	_, away := f.away[slot]
	return away
}

// stranded counts those that are away for too long.
func (f *front) stranded(now int64) (n uint64) {
	for _, since := range f.away {
		if timeSince(now, since) > strandedAfter {
			n++
		}
	}
	return n
}

// cutByProxy books the end of a ready client's connection that the proxy may
// have brought about. False: it was not the proxy, as where the gateway has said
// goodbye before. In a storm the run takes care of the clients.
func (l *loop) cutByProxy(slot uint32, why Reason) bool {
	if l.front.name == "" || l.reopens.recovering || !why.fromProxy() {
		return false
	}
	if s := l.held(slot); s != nil && s.bye {
		return false
	}
	l.counters.ProxyCut++
	l.cuts.add(why, 1)
	l.front.away[slot] = l.now
	per := uint32(l.plan.channels.PerClient())
	for sub := slot * per; sub < (slot+1)*per; sub++ {
		l.ledger.leave(sub)
	}
	return true
}

// forget takes a client off those that are to come back.
func (l *loop) forget(slot uint32) { delete(l.front.away, slot) }

// awaitReturns gives clients that were cut a moment ago the time to come back.
func (r *run) awaitReturns() {
	if r.result.Interrupted || r.engine.totals().away == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), strandedAfter+time.Second)
	defer cancel()
	// Its error is that some did not, which the counters tell.
	r.engine.wait(ctx, strandedAfter+time.Second, func(t totals) bool { return t.away == 0 })
}

// fromProxy reports whether a proxy ends connections for the reason.
func (r Reason) fromProxy() bool {
	switch r {
	case ReasonCut, ReasonReset, ReasonRefused, ReasonTimedOut, ReasonTimeout:
		return true
	}
	return strings.HasPrefix(string(r), "HTTP ") && strings.Contains(string(r.bare()), reasonBy)
}

// proxy writes what the proxy did.
func (r *Result) proxy(t *table) {
	c := &r.Counters
	if r.Proxy != "" {
		t.row("through", "%s", r.Proxy)
	}
	t.tally("ended at the proxy", r.ProxyCuts)
	if c.ProxyCut > 0 {
		t.row("came back", "%d, %d still away at the end", c.ProxyReturned, c.Away)
	}
	if c.Renewed > 0 {
		t.row("polls on new connections", "%d, the old ones having ended with their answers", c.Renewed)
	}
}

// judgeProxy says what the proxy and the gateway's limits did to the clients.
func (r *run) judgeProxy() {
	res := r.result
	c := &res.Counters
	if n := c.ProxyCut; n > 0 {
		r.warn("%d connections of ready clients ended at the proxy (%s) or behind it, and %d of these clients came back: the proxy's timeouts must be longer than the gateway's heartbeat.interval and than a poll waits; its reload or restart ends connections as well", n, res.Proxy, c.ProxyReturned)
	}
	if n := c.Away; n > 0 {
		r.fail("%d clients whose connections ended at the proxy did not come back", n)
		r.hints(res.Retries)
	}
	if n := c.Deferred; n > 0 {
		r.warn("clients were told %d times to come later, and did so: see the gateway's limits and its log", n)
	}
	if s := res.Server; s != nil && !r.plan.Foreign && proxyName(s.Name) != "" {
		r.warn("the server's figures are those of %s, which listens at --url: --pid names the gateway's process", s.Name)
	}
}
