package loadgen

import (
	"context"
	"slices"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/client"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
)

// proxies are the programs that pass connections on, by the names of their
// processes.
var proxies = []string{"nginx", "haproxy", "envoy", "caddy", "traefik", "varnishd", "apache2", "httpd", "squid"}

// proxyAt returns the name of the proxy that listens at a target on this host;
// empty where it is none, or can't be seen.
func proxyAt(target *plan.Target) string {
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

// awaitReturns gives clients that were cut a moment ago the time to come back.
func (r *run) awaitReturns() {
	if r.result.Interrupted || r.clients.Totals().Away == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), client.StrandedAfter+time.Second)
	defer cancel()
	// Its error is that some did not, which the counters tell.
	r.clients.wait(ctx, client.StrandedAfter+time.Second, func(t account.Totals) bool { return t.Away == 0 })
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
	if s := res.Server; s != nil && !r.plan.Foreign && proxyName(s.Name) != "" {
		r.warn("the server's figures are those of %s, which listens at --url: --pid names the gateway's process", s.Name)
	}
}
