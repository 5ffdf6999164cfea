package fanout

import (
	"slices"
	"testing"
	"time"

	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/internal/redistest"
)

// A Redis that lets no new connection in has published nothing, and has no empty
// histories.
func TestRefusedConnections(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	cluster := redistest.StartCluster(t, 3)
	for name, tc := range map[string]struct {
		servers []*redistest.Server
		url     string
	}{
		"single":  {[]*redistest.Server{s.Server}, "redis://gateway:pw@" + s.Addr},
		"cluster": {cluster.Masters, "redis+cluster://gateway:pw@" + cluster.Masters[0].Addr},
	} {
		t.Run(name, func(t *testing.T) {
			all := func(args ...any) {
				for _, s := range tc.servers {
					s.Do(args...)
				}
			}
			all("ACL", "SETUSER", "gateway", "on", ">pw", "~*", "&*", "+@all")
			c := testConfig(tc.url)
			c.ProbeInterval = time.Minute // deliveries go on
			b := runBroker(t, c)
			r := newRecorder()
			join(b, "news", r)
			r.wait(t, "news", 1)
			publish := func(channel, text string, o PublishOptions) (id message.Position) {
				t.Helper()
				p := b.PublishBatch(t.Context(), []Publication{{channel, []byte(text), o}})[0]
				if p.Err != nil {
					t.Fatal(p.Err)
				}
				id, _ = message.ParsePosition(p.ID)
				return id
			}
			first := publish("old", "1", PublishOptions{Durable: true})
			last := publish("old", "2", PublishOptions{Durable: true})

			all("ACL", "SETUSER", "gateway", "resetpass", ">other")
			all("CLIENT", "KILL", "USER", "gateway", "TYPE", "normal")
			for _, o := range []PublishOptions{{}, {Durable: true}} {
				if p := b.PublishBatch(t.Context(), []Publication{{"news", []byte("x"), o}})[0]; p.Err == nil || p.ID != "" {
					t.Errorf("durable %v: %+v", o.Durable, p)
				}
			}
			join(b, "old", r)
			done := make(chan Replay, 1)
			b.Replay("old", first, func(a Replay) { done <- a })
			connections := func() (n int) {
				for _, s := range tc.servers {
					n += s.Stat("total_connections_received")
				}
				return n
			}
			before := connections()
			eventually(t, "the history is asked for in vain", func() bool { return connections() > before+5 })
			if got := r.texts("old"); len(got) > 0 {
				t.Errorf("the channel is live: %v", got)
			}
			all("ACL", "SETUSER", "gateway", ">pw")
			if e := r.wait(t, "old", 1)[0]; e.text != "joined" || e.joined.Position != last {
				t.Errorf("got %+v, want %v", e, last)
			}
			if a := <-done; a.Gap != nil || !slices.Equal(payloads(a.Messages), []string{"2"}) {
				t.Errorf("replayed %v, gap %v", payloads(a.Messages), a.Gap)
			}
		})
	}
}
