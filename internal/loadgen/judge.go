package loadgen

import (
	"fmt"
	"slices"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/result"
)

// judge books the faults of the deliveries.
func (r *run) judge(f *result.Sent, c account.Counters, exact bool) {
	if n := f.Missing - f.MissingMoved - f.MissingCut; n > 0 {
		r.fail("%d of %d deliveries are missing, on %d subscriptions", n, f.Expected, f.Incomplete)
	}
	if n := f.MissingCut; n > 0 {
		text := fmt.Sprintf("%d deliveries are missing that passed while clients were cut at the proxy", n)
		if r.plan.Durable {
			r.fail("%s, although they came back with their positions and the messages are durable", text)
		} else {
			r.warn("%s: plain messages are at most once, and replayed only by the node that had them", text)
		}
	}
	if n := f.MissingMoved; n > 0 {
		text := fmt.Sprintf("%d of %d deliveries to clients that were away are missing", n, f.ExpectedMoved)
		if r.plan.Resume && r.plan.Durable {
			r.fail("%s, although they came back with their positions and the messages are durable", text)
		} else {
			r.warn("%s: plain messages are at most once; --durable --resume has clients get them later", text)
		}
	}
	if f.Published > 0 && f.Unheard == f.Published {
		r.fail("no gateway was subscribed in Redis: --redis and --prefix must be the gateway's own")
	} else if f.Unheard > 0 {
		r.warn("for %d of %d messages Redis knew no subscriber", f.Unheard, f.Published)
	}
	for _, x := range []struct {
		n    uint64
		what string
	}{
		{c.Duplicated, "came more than once"},
		{c.Reordered, "came after a later one of their channel"},
		{c.Misdirected, "came to clients that had not subscribed to their channel"},
		{c.Damaged, "came damaged"},
		{c.Unknown, "were not in the wire's format"},
	} {
		if x.n > 0 {
			r.fail("%d messages %s", x.n, x.what)
		}
	}
	if c.Foreign > 0 {
		r.warn("%d messages were not of this run: the channels are in use by others", c.Foreign)
	}
	if !exact {
		r.warn("so much is missing that late messages can't be told from duplicates; the number missing is exact")
	}
	if f.Skipped > 0 {
		r.fail("%d of %d messages were not sent when they were due, nor within %v, so the load was less than asked", f.Skipped, f.Asked, r.plan.MaxLate)
	}
	if f.FateUnknown > 0 {
		r.fail("%s did not answer for %d messages: %d of their deliveries did not come, and are not counted as missing", f.By(), f.FateUnknown, f.UnknownMissing)
	}
	if f.Late > 0 {
		r.warn("%d messages were sent more than %v late: publishing did not keep up; read the latency from the intended time", f.Late, account.LateAfter)
	}
}

// judgeProxy says how the proxy and the gateway's limits treated the clients.
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
	if s := res.Server; s != nil && !r.plan.Foreign && slices.Contains(proxies, s.Name) {
		r.warn("the server's figures are of %s, which listens at --url: name the gateway's process with --pid", s.Name)
	}
}

// boundSeconds is how many single seconds at the limit are no accident.
const boundSeconds = 2

// boundBy warns when the load generator was the limit of a phase, over all of
// it or for seconds in the series.
func (r *run) boundBy(doing string, phase result.Phase, e result.Effort) {
	n := 0
	for _, x := range r.result.Series {
		if x.Phase == phase && x.LoopBusy > result.ClientBound {
			n++
		}
	}
	if e.Bound && e.Seconds > 0.5 || n >= boundSeconds {
		r.warn("CLIENT-BOUND while %s: loadgen itself used %.0f %% of the CPU it could get, its busiest loop was busy %.0f %% of the time and over 90 %% in %d single seconds; the server can do better than these figures say",
			doing, e.Share*100, e.Busy*100, n)
	}
}

// hostBound is the share of all CPUs from which on programs wait for one.
const hostBound = 0.95

// judgeKernel warns of dropped connects and busy CPUs.
func (r *run) judgeKernel() {
	k := r.result.Kernel
	if k == nil {
		return
	}
	at, open := k.After, r.result.Counters.Open
	if len(r.result.Steps) > 0 {
		at, open = k.Connected, r.top
	}
	k.PerConnection(at, open)
	if n := k.After.Overflows; n > 0 {
		r.warn("the kernel dropped %d connects because a listen queue was full: raise net.core.somaxconn and the gateway's socket.backlog", n)
	}
	full := 0
	for _, x := range r.result.Series {
		if x.HostCPU > hostBound && x.Phase != result.PhaseHold && x.Phase != result.PhaseLeave {
			full++
		}
	}
	if full >= boundSeconds {
		r.warn("HOST-BOUND: in %d seconds under load the CPUs of this host were over %.0f %% busy, with loadgen and whatever else runs here beside the server; latencies are longer than on a host of its own", full, hostBound*100)
	}
}

// judgeChurn completes the figures with the latencies, which the window has.
func (r *run) judgeChurn() {
	x := r.result.Churn
	if x == nil {
		return
	}
	x.Handshake, x.HandshakeDue, x.Ready = r.phaseLatency[account.OfHandshake], r.phaseLatency[account.OfHandshakeDue], r.phaseLatency[account.OfReady]
	if x.Failed > 0 {
		r.fail("%d connects of the churn failed", x.Failed)
		if snap, err := r.clients.collect(); err == nil {
			r.hints(snap.Tallies[account.Failures], snap.Tallies[account.Retries])
		}
	}
	if x.Skipped > 0 {
		r.fail("%d of %d cycles were skipped: no client was there to be closed, so the churn was less than asked; more clients (-n, --share) or a lower --churn-rate", x.Skipped, x.Slots)
	}
	r.warnLate("of the churn ", x.Late)
	if x.Effort.Bound && x.Seconds > 0.5 {
		r.warn("CLIENT-BOUND while churning: loadgen was at its own limit; the server can do better than these figures say")
	}
}

// warnLate says that the pace of connects was not kept.
func (r *run) warnLate(of string, n uint64) {
	if n > 0 {
		r.warn("%d connects %sbegan more than %v late: -c allows %d handshakes at the same time, and this host may be busy; read the handshake from its intended time", n, of, account.LateAfter, r.plan.InFlight)
	}
}
