package main

import (
	"net"
	"net/http"
	"time"

	"github.com/gobwas/ws"
)

// netHTTPName is the server's in the table and on the command line.
const netHTTPName = "net/http goroutines"

// netHTTP is goroutines behind net/http, which takes the request and hands the connection over.
type netHTTP struct{ *goroutines }

func newNetHTTP(t transport, interval time.Duration) (made, error) {
	return netHTTP{prepareGoroutines(t, interval)}, nil
}

func (s netHTTP) serve(l net.Listener) error { return http.Serve(l, s) }

// ServeHTTP returns once the upgrade is answered, so that net/http can let go of the request.
func (s netHTTP) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	conn, _, _, err := ws.UpgradeHTTP(r, w)
	if err != nil {
		return // it has been answered
	}
	c := &peer{Conn: conn}
	go s.hold(c, s.frames(c), heartbeat) // ends when the client does
}
