package interop

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"time"
)

// listens is a function of a page that opens an EventSource and reports its events under a
// name. A stream that is let in at once is opened again, if it is to be refused first.
const listens = `
	function listen(name, addr, refusedFirst) {
		const source = new EventSource("http://" + addr + "/v1/sse?channels=c");
		let byes = 0;
		source.addEventListener("bye", (e) => {
			if (!byes++) tab.report(name, "bye", JSON.parse(e.data).reason);
		});
		source.addEventListener("subscribed", () => {
			if (byes || !refusedFirst) return tab.report(name, "subscribed");
			source.close();
			listen(name, addr, refusedFirst);
		});
		source.addEventListener("message", (e) => tab.report(name, "message", JSON.parse(e.data).data));
		source.onerror = () => { if (source.readyState === EventSource.CLOSED) tab.report("page", "failed", name + " has given up"); };
	}
`

// A browser's EventSource that is refused for a while reconnects by itself, on a page of
// another origin too, and gets its messages. Each gateway here refuses it by another limit
// until the page has heard of it.
func TestEventSourceComesBackFromLimits(t *testing.T) {
	needs(t, "chromium")
	gateways, addrs, free := make(map[string]*gateway), make(map[string]string), make(map[string]func())
	for name, limit := range map[string]struct {
		flags []string
		fill  func(t *testing.T, addr string) (free func())
	}{
		"too_many_connections":  {[]string{"--limits.connections", "1"}, holdOne},
		"too_many_from_address": {[]string{"--limits.connections_per_address", "1"}, holdOne},
		"too_many_connects":     {[]string{"--limits.accepts_per_second", "1", "--limits.accepts_burst", "1"}, rush},
		"too_many_handshakes":   {[]string{"--limits.handshakes_per_second", "1", "--limits.handshakes_burst", "1"}, rush},
	} {
		g := startGateway(t, limit.flags...)
		gateways[name], addrs[name], free[name] = g, g.Public, limit.fill(t, g.Public)
	}
	list, err := json.Marshal(addrs)
	if err != nil {
		t.Fatal(err)
	}
	page := openTab(t, nil)
	page.run(listens, `for (const [name, addr] of Object.entries(`+string(list)+`)) listen(name, addr, true);`)
	for name, g := range gateways {
		if reason := page.expect(name, "bye")["value"]; reason != name {
			t.Errorf("%s: bye %v", name, reason)
		}
		free[name]()
		page.expect(name, "subscribed")
		g.Redis.PublishDurable("c", "1")
		page.expect(name, "message")
	}
}

// A gateway that shuts down says so to an EventSource, which finds the next one at the same
// address.
func TestEventSourceComesBackFromDrain(t *testing.T) {
	needs(t, "chromium")
	g := startGateway(t)
	page := openTab(t, nil)
	page.run(listens, `listen("stream", "`+g.Public+`");`)
	page.expect("stream", "subscribed")
	g.Signal(syscall.SIGTERM)
	if reason := page.expect("stream", "bye")["value"]; reason != "drain" {
		t.Errorf("bye %v", reason)
	}
	g.Exits()
	g.Restart()
	page.expect("stream", "subscribed")
	g.Redis.PublishDurable("c", "1")
	page.expect("stream", "message")
}

// holdOne is a client that stays until it's let go.
func holdOne(t *testing.T, addr string) (free func()) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	fmt.Fprint(c, "GET /v1/sse?channels=other HTTP/1.1\r\nHost: a\r\n\r\n")
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return func() { c.Close() }
}

// rush has clients connect as fast as they can until they are stopped.
func rush(t *testing.T, addr string) (free func()) {
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
			c, err := net.Dial("tcp", addr)
			if err != nil {
				continue
			}
			fmt.Fprint(c, "GET /v1/sse?channels=other HTTP/1.1\r\nHost: a\r\n\r\n")
			io.ReadFull(c, make([]byte, 1)) // of the answer
			c.Close()
		}
	}()
	end := func() {
		select {
		case <-stop:
		default:
			close(stop)
		}
		<-done
	}
	t.Cleanup(end)
	return end
}
