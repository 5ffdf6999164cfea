package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/pprof"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/pushgate/pushgate/gateway/admin"
	"github.com/pushgate/pushgate/web"
)

var errLoopStalled = errors.New("a shard's loop does not respond")

// adminHandler serves the operator: metrics, health, profiles, the console,
// and the calls under /v1/.
func (s *Server) adminHandler() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collector{s},
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { writeHealth(w, s.healthy()) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { writeHealth(w, s.Ready()) })
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	// Someone who opens the listener's address in a browser wants the console.
	mux.Handle("GET /{$}", http.RedirectHandler("/console/", http.StatusFound))
	mux.Handle("GET /console/", web.Handler(s.consoleAddresses))
	o := operator{s}
	mux.Handle("/v1/", admin.Handler(o, o, o, o, o))
	return admin.Protect(func() string { return s.live.Load().Admin.Token }, mux)
}

// consoleAddresses returns where the console's page connects to, by the host in the page's own address.
func (s *Server) consoleAddresses(host string) web.Addresses {
	a := web.Addresses{Public: s.addr}
	if s.tlsAddr != "" {
		a.TLS = s.certs.Load().Address(s.tlsAddr, host)
	}
	return a
}

func writeHealth(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, err)
		return
	}
	fmt.Fprintln(w, "ok")
}

// healthy returns an error when a shard's loop doesn't respond.
func (s *Server) healthy() error {
	for _, sh := range s.shards {
		if _, ok := sh.snapshot(); !ok {
			return errLoopStalled
		}
	}
	return nil
}
