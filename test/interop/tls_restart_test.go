package interop

import (
	"context"
	"crypto/tls"
	"sync"
	"syscall"
	"testing"

	"github.com/pushgate/pushgate/internal/redistest"
)

// TestTLSRestart kills a gateway and drains its successor under clients that come back over TLS,
// by tickets that outlive them, and miss no durable message.
func TestTLSRestart(t *testing.T) {
	needs(t)
	t.Parallel()
	const n = 60
	redis := redistest.Start(t)
	s := startTLSOn(t, redis, newTLSCertificates(t), "--tls.ticket_key_file", newTicketKeys(t),
		"--drain.timeout", "1s", "--channels", "[{match: ["+channel+"], durable: true}]")
	b := &backend{t: t, redis: redis}
	b.publish()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	clients := make([]*roamer, n)
	for i := range clients {
		config := s.trust(tlsVersions[i%2])
		config.ServerName, config.ClientSessionCache = tlsName, tls.NewLRUClientSessionCache(4)
		clients[i] = newRoamer([]string{"ws", "sse", "ws", "sse", "poll"}[i%5], s.tls, config)
		running.Go(func() { clients[i].run(ctx) })
	}
	allHere := func() bool { return all(clients, func(r *roamer) bool { return r.here }) }
	eventually(t, "all clients are here", allHere)
	stopPublishing := b.keepPublishing()
	s.Kill()
	eventually(t, "all clients are away", func() bool {
		return all(clients, func(r *roamer) bool { return r.transport == "poll" || !r.here })
	})
	s.Restart()
	eventually(t, "all clients are back", allHere)
	resumed := func() float64 { return s.Metric(`gateway_tls_handshakes_total{resumed="true",version="1.3"}`) }
	if resumed() == 0 {
		t.Error("no handshake is resumed at the successor")
	}
	s.Signal(syscall.SIGTERM)
	s.Exits()
	s.Restart()
	eventually(t, "all clients are back once more", allHere)
	sent := stopPublishing()
	eventually(t, "all clients have the last message", func() bool { return all(clients, func(r *roamer) bool { return r.next >= sent }) })
	cancel()
	running.Wait()
	for i, r := range clients {
		if r.wrong != "" || r.next != sent {
			t.Errorf("client %d (%s) has %d of %d messages: %s", i, r.transport, r.next, sent, r.wrong)
		}
	}
}
