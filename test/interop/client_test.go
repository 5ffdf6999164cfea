package interop

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/pushgate/pushgate/internal/gatewaytest"
)

const secret = "0123456789abcdef0123456789abcdef"

// mint makes a token by the gateway's own command.
func mint(t testing.TB, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, append([]string{"token"}, args...)...)
	cmd.Env = []string{"GATEWAY_AUTH__JWT__SECRET=" + secret}
	token, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(token))
}

// crossing is a TCP proxy in front of a gateway. It can fall silent: whatever is
// connected then stays connected, and nothing passes any more.
type crossing struct {
	net.Listener
	mu    sync.Mutex
	conns []*crossed // guarded by mu
}

type crossed struct {
	near, far net.Conn
	silent    atomic.Bool
}

func openCrossing(t testing.TB, to string) *crossing {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	x := &crossing{Listener: l}
	var running sync.WaitGroup
	running.Go(func() { // ends with the listener; waited for below
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				near.Close()
				continue
			}
			c := &crossed{near: near, far: far}
			x.mu.Lock()
			x.conns = append(x.conns, c)
			x.mu.Unlock()
			running.Go(func() { c.copy(near, far) })
			running.Go(func() { c.copy(far, near) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		x.mu.Lock()
		for _, c := range x.conns {
			c.near.Close()
			c.far.Close()
		}
		x.mu.Unlock()
		running.Wait()
	})
	return x
}

// copy passes bytes on until from ends or silence falls.
func (c *crossed) copy(from, to net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if c.silent.Load() {
			return
		}
		to.Write(buffer[:n])
		if err != nil {
			to.Close()
			return
		}
	}
}

// fallSilent cuts off everything that is connected, without a word.
func (x *crossing) fallSilent() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, c := range x.conns {
		c.silent.Store(true)
	}
}

func socketURL(addr string) string { return "ws://" + addr + "/v1/ws" }

// TestClientMeetsFaults has web/client.js, in Chromium, meet each fault that a
// page's clients do.
func TestClientMeetsFaults(t *testing.T) {
	var tokens atomic.Int64
	var life atomic.Value // of the tokens, as --ttl takes it
	p := openTab(t, map[string]http.HandlerFunc{
		"GET /token": func(w http.ResponseWriter, _ *http.Request) {
			tokens.Add(1)
			io.WriteString(w, mint(t, "--sub", "anna", "--subscribe", "a.*", "--ttl", life.Load().(string)))
		},
	})
	const fetchToken = `{ token: async () => (await fetch("/token")).text() }`
	jwt := []string{"--auth.mode", "jwt", "--auth.jwt.secret", secret}

	t.Run("a handshake that hangs", func(t *testing.T) {
		p := p.in(t)
		l, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts, and there is no answer
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		p.run(fmt.Sprintf(`tab.hung = tab.open("hung", %q, { handshakeTimeout: 500 })`, socketURL(l.Addr().String())))
		if e := p.expect("hung", "close"); e["retryIn"] == nil || !strings.Contains(fmt.Sprint(e["reason"]), "no welcome within 0.5 s") {
			t.Errorf("got %v", e)
		}
		p.run(`tab.hung.close()`)
	})

	t.Run("an address that is none", func(t *testing.T) {
		p := p.in(t)
		p.run(`tab.open("nowhere", "nonsense://x")`)
		if e := p.expect("nowhere", "close"); e["retryIn"] != nil {
			t.Errorf("tries again: %v", e)
		}
	})

	t.Run("a connection that dies in silence", func(t *testing.T) {
		p := p.in(t)
		g := startGateway(t)
		x := openCrossing(t, g.Public)
		p.run(fmt.Sprintf(`tab.dead = tab.open("dead", %q)`, socketURL(x.Addr().String())), `tab.dead.subscribe("news")`)
		p.expect("dead", "subscribed")
		x.fallSilent()
		if e := p.expect("dead", "close"); fmt.Sprint(e["reason"]) != "the server fell silent" {
			t.Errorf("got %v", e)
		}
		p.expect("dead", "subscribed")
		p.run(`tab.dead.close()`)
	})

	t.Run("the network changes", func(t *testing.T) {
		p := p.in(t)
		g := startGateway(t, "--heartbeat.interval", "10m", "--heartbeat.timeout", "10m")
		x := openCrossing(t, g.Public)
		p.run(fmt.Sprintf(`tab.moved = tab.open("moved", %q)`, socketURL(x.Addr().String())), `tab.moved.subscribe("news")`)
		p.expect("moved", "subscribed")
		x.fallSilent()
		p.run(`dispatchEvent(new Event("online"))`)
		if e := p.expect("moved", "close"); fmt.Sprint(e["reason"]) != "the server fell silent" {
			t.Errorf("got %v", e)
		}
		p.expect("moved", "subscribed")
		p.run(`tab.moved.close()`)
	})

	t.Run("a token that expires", func(t *testing.T) {
		p := p.in(t)
		life.Store("3s")
		tokens.Store(0)
		g := startGateway(t, jwt...)
		p.run(fmt.Sprintf(`tab.aged = tab.open("aged", %q, %s)`, socketURL(g.Public), fetchToken))
		first := p.expect("aged", "welcome")["connection"]
		for range 2 {
			if again := p.expect("aged", "welcome")["connection"]; again != first {
				t.Errorf("it is connection %v, was %v", again, first)
			}
		}
		p.run(`tab.aged.close()`)
		if n := tokens.Load(); n < 3 {
			t.Errorf("%d tokens were fetched, want one for each welcome", n)
		}
	})

	t.Run("a node that restarts", func(t *testing.T) {
		p := p.in(t)
		life.Store("1h")
		tokens.Store(0)
		g := startGateway(t, jwt...)
		p.run(fmt.Sprintf(`tab.restarted = tab.open("restarted", %q, %s)`, socketURL(g.Public), fetchToken))
		p.expect("restarted", "welcome")
		g.Signal(syscall.SIGTERM)
		g.Exits()
		g.Restart()
		p.expect("restarted", "close")
		p.expect("restarted", "welcome")
		p.run(`tab.restarted.close()`)
		if n := tokens.Load(); n != 1 {
			t.Errorf("%d tokens were fetched, want the first only", n)
		}
	})

	t.Run("a channel that is refused", func(t *testing.T) {
		p := p.in(t)
		life.Store("1h")
		g := startGateway(t, jwt...)
		p.run(fmt.Sprintf(`tab.two = tab.open("two", %q, %s)`, socketURL(g.Public), fetchToken),
			`tab.two.subscribe("a.1")`, `tab.two.subscribe("b.1")`)
		if e := p.expect("two", "error"); e["channel"] != "b.1" || e["code"] != "forbidden" {
			t.Errorf("got %v", e)
		}
		p.expect("two", "subscribed")
		p.run(`tab.report("two", "channels", tab.two.channels.join())`, `tab.two.close()`)
		if e := p.expect("two", "channels"); e["value"] != "a.1" {
			t.Errorf("has the channels %v", e["value"])
		}
	})

	t.Run("a publish while offline", func(t *testing.T) {
		p := p.in(t)
		addr := gatewaytest.Address(t)
		const publish = `tab.late.publish("open", %d).then(id => tab.report("late", "done", {id}), e => tab.report("late", "done", {code: e.code}));`
		p.run(fmt.Sprintf(`tab.late = tab.open("late", %q, { publishTimeout: 300 });`, socketURL(addr)), fmt.Sprintf(publish, 1))
		if e := p.expect("late", "done"); e["code"] != "offline" {
			t.Errorf("got %v", e)
		}
		p.run(`tab.late.close()`, fmt.Sprintf(`tab.late = tab.open("late", %q, { publishTimeout: 60000 });`, socketURL(addr)),
			`tab.late.subscribe("open");`, fmt.Sprintf(publish, 2))
		startGateway(t, "--listen", addr, "--channels", "[{match: [open], publish: true}]")
		if e := p.expect("late", "done"); e["id"] == nil {
			t.Errorf("got %v", e)
		}
		p.run(`tab.late.close()`)
	})

	t.Run("a publish that is cut off", func(t *testing.T) {
		p := p.in(t)
		g := startGateway(t, "--channels", "[{match: [open], publish: true}]")
		x := openCrossing(t, g.Public)
		p.run(fmt.Sprintf(`tab.cut = tab.open("cut", %q, { publishTimeout: 60000 });`, socketURL(x.Addr().String())))
		p.expect("cut", "welcome")
		x.fallSilent()
		p.run(`tab.cut.publish("open", 1).catch(e => tab.report("cut", "done", {code: e.code}));`)
		if e := p.expect("cut", "done"); e["code"] != "unknown" {
			t.Errorf("got %v", e)
		}
		p.run(`tab.cut.close()`)
	})

	t.Run("data that can't be published", func(t *testing.T) {
		p := p.in(t)
		addr := gatewaytest.Address(t)
		p.run(fmt.Sprintf(`tab.odd = tab.open("odd", %q, { publishTimeout: 60000 });`, socketURL(addr)),
			`tab.odd.publish("open", 1n).catch(e => tab.report("odd", "refused", e.name));`,
			`tab.odd.publish("open", 2).then(id => tab.report("odd", "done", {id}));`)
		if e := p.expect("odd", "refused"); e["value"] != "TypeError" {
			t.Errorf("got %v", e)
		}
		startGateway(t, "--listen", addr, "--channels", "[{match: [open], publish: true}]")
		p.expect("odd", "done")
		p.run(`tab.odd.close()`)
	})

	t.Run("a token that never comes", func(t *testing.T) {
		p := p.in(t)
		p.run(`tab.mute = tab.open("mute", "ws://127.0.0.1:1/", { token: () => new Promise(() => {}), handshakeTimeout: 300 })`)
		if e := p.expect("mute", "close"); e["retryIn"] == nil || !strings.Contains(fmt.Sprint(e["reason"]), "no token: Error: not within 0.3 s") {
			t.Errorf("got %v", e)
		}
		p.run(`tab.mute.close()`)
	})

	t.Run("closed while it waits for a token", func(t *testing.T) {
		p := p.in(t)
		p.run(`let closes = 0, asked = 0, fail;`,
			`const left = new tab.client.PushClient("ws://127.0.0.1:1/", { token: () => { asked++; return new Promise((_, reject) => { fail = reject; }); } });`,
			`left.on("close", () => closes++);`,
			`setTimeout(() => { left.close(); fail(new Error("gone")); setTimeout(() => tab.report("left", "state", { asked, closes })); });`,
			`new tab.client.PushClient("ws://127.0.0.1:1/", { token: () => { asked++; } }).close();`) // before it has begun
		if e := p.expect("left", "state"); e["asked"] != 1.0 || e["closes"] != 0.0 {
			t.Errorf("after close(): %v, want one token and no event", e)
		}
	})

	t.Run("the past of a channel", func(t *testing.T) {
		p := p.in(t)
		g := startGateway(t, "--channels", "[{match: [open], publish: true, durable: true}]")
		p.run(fmt.Sprintf(`tab.past = tab.open("past", %q);`, socketURL(g.Public)),
			`(async () => { for (const n of [1, 2, 3]) await tab.past.publish("open", n); tab.past.subscribe("open", undefined, 2); })()`)
		for _, want := range []float64{2, 3} {
			if e := p.expect("past", "message"); e["data"] != want {
				t.Errorf("got %v, want %v", e, want)
			}
		}
		p.run(`tab.past.close()`)
	})

	t.Run("an origin that is refused", func(t *testing.T) {
		p := p.in(t)
		g := startGateway(t, "--origins", "https://elsewhere.example")
		p.run(fmt.Sprintf(`tab.foreign = tab.open("foreign", %q)`, socketURL(g.Public)))
		if e := p.expect("foreign", "error"); e["code"] != "origin_not_allowed" || !strings.Contains(fmt.Sprint(e["message"]), p.url) {
			t.Errorf("got %v", e)
		}
		p.run(`tab.foreign.close()`)
		if n := strings.Count(g.Log(), `"level":"INFO","msg":"a page is refused: its origin is not allowed"`); n != 1 {
			t.Errorf("%d lines in the log, want one: %s", n, g.Log())
		}
	})
}

// A late answer to `auth` leaves no renewal beside the next one.
func TestClientRenewsATokenOnce(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), needs(t, "node"), "--no-warnings", "testdata/renew.mjs", "../../web/client.js").CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "4" {
		t.Errorf("asked for %s tokens of 100 s in 400 s, %v", out, err)
	}
}
