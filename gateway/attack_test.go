package gateway_test

import (
	"bufio"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/gateway/auth"
	"github.com/pushgate/pushgate/internal/redistest"
)

// longAttacks runs the attacks in full size: make attacks.
var longAttacks = flag.Bool("attacks.long", false, "attack with ten times as many clients")

// targetEnv makes the test binary a gateway to attack; its value is a target
// in JSON.
const targetEnv = "GATEWAY_TEST_TARGET"

// attackTarget configures a gateway to attack.
type attackTarget struct {
	Config gateway.Config
	Redis  string
	Late   bool // without TuneProcess
}

// serveTarget is the process' main: it says where it listens and serves until
// its input ends.
func serveTarget(text string) error {
	var t attackTarget
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return err
	}
	t.Config.Redis.URL = t.Redis
	srv, err := gateway.New(t.Config, gateway.Options{Log: slog.New(slog.NewTextHandler(os.Stderr, nil)), TuneProcess: !t.Late})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		fmt.Println(cmp.Or(srv.Addr(), srv.TLSAddr()), cmp.Or(srv.AdminAddr(), "none"))
		io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	return srv.Run(ctx)
}

// attacked is a gateway in a process of its own, so that its CPU time is its
// own too.
type attacked struct {
	t           *testing.T
	addr, admin string
	pid         int
	redis       *redistest.Server
}

func attack(t *testing.T, change func(*gateway.Config)) *attacked {
	t.Helper()
	return attackOn(t, redistest.Start(t), false, change)
}

// attackOn is attack with a Redis that others have too; late says that the collector
// runs as Go has it.
func attackOn(t *testing.T, redis *redistest.Server, late bool, change func(*gateway.Config)) *attacked {
	t.Helper()
	if testing.Short() {
		t.Skip("measures CPU time and latency, which the race detector distorts")
	}
	cfg := gateway.DefaultConfig()
	cfg.Listen, cfg.Admin.Listen, cfg.Drain.Timeout, cfg.Shards = "127.0.0.1:0", "", 0, 2
	change(&cfg)
	gateway.Secured(&cfg)
	text, err := json.Marshal(attackTarget{cfg, redis.URL(), late})
	if err != nil {
		t.Fatal(err)
	}
	p := startProcess(t, targetEnv+"="+string(text))
	a := &attacked{t: t, pid: p.pid, redis: redis}
	if _, err := fmt.Fscan(p.stdout, &a.addr, &a.admin); err != nil {
		t.Fatalf("the gateway does not start: %v: %s", err, p.end())
	}
	listensAt(t, a.addr)
	return a
}

// cpu returns the CPU time that the gateway has used, to the nanosecond.
func (a *attacked) cpu() time.Duration {
	a.t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", a.pid))
	if err != nil || len(tasks) == 0 {
		a.t.Fatalf("no tasks of %d: %v", a.pid, err)
	}
	var sum time.Duration
	for _, name := range tasks {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // a thread that has ended
		}
		var ns int64
		fmt.Sscan(string(text), &ns)
		sum += time.Duration(ns)
	}
	return sum
}

// perConnection returns the gateway's CPU time for each of n connections, over
// which visit is called.
func (a *attacked) perConnection(n int, visit func(i int, c net.Conn, r *bufio.Reader)) time.Duration {
	a.t.Helper()
	const visitors = 50
	before := a.cpu()
	var all sync.WaitGroup
	for first := range visitors {
		all.Go(func() {
			r := bufio.NewReader(nil)
			for i := range n / visitors {
				c, err := dialer.Dial("tcp", a.addr)
				if err != nil {
					a.t.Error(err)
					return
				}
				c.SetDeadline(time.Now().Add(patience))
				r.Reset(c)
				visit(first*(n/visitors)+i, c, r)
				c.Close()
			}
		})
	}
	all.Wait()
	return (a.cpu() - before) / time.Duration(n/visitors*visitors)
}

// comes opens a WebSocket, waits until it is admitted and leaves. head returns the request head of
// client i.
func comes(t *testing.T, head func(i int) string) func(i int, c net.Conn, r *bufio.Reader) {
	return func(i int, c net.Conn, r *bufio.Reader) {
		_, err := io.WriteString(c, head(i))
		if err == nil {
			_, err = http.ReadResponse(r, nil)
		}
		if err == nil {
			_, err = r.Peek(2) // the welcome
		}
		if err != nil {
			t.Errorf("a client is not let in: %v", err)
		}
	}
}

// isToldLater requests an event stream and must get one that ends with a bye.
func isToldLater(t *testing.T) func(i int, c net.Conn, r *bufio.Reader) {
	return func(_ int, c net.Conn, r *bufio.Reader) {
		_, _ = io.WriteString(c, eventSource)
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Errorf("an EventSource too many got %v", err)
			return
		}
		// A response before the request was sent is a 503.
		if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode == 200 && !strings.Contains(string(body), "event: bye") {
			t.Errorf("an EventSource too many got %v %s, %v", resp, body, err)
		}
	}
}

// isTurnedAway sends a handshake and must get a 503.
func isTurnedAway(t *testing.T) func(i int, c net.Conn, r *bufio.Reader) {
	return func(_ int, c net.Conn, r *bufio.Reader) {
		// Writing may fail if the response came first.
		_, _ = io.WriteString(c, upgradeHead)
		resp, err := http.ReadResponse(r, nil)
		if err != nil || resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
			t.Errorf("a client too many got %v, %v", resp, err)
			return
		}
		io.Copy(io.Discard, resp.Body)
	}
}

// A connection over a limit costs a fraction of one admitted with a signed token. On loopback the
// sender's cost includes the kernel's delivery to the client, which is most of the rest:
// docs/SECURITY.md has the figures.
func TestAttackFloodIsCheap(t *testing.T) {
	gateway.InTheClear(t, gateway.CostOfRecords)
	n := 2000
	if *longAttacks {
		n = 10_000
	}
	open := attack(t, func(c *gateway.Config) {})
	shared := attack(t, withTokens)
	private, public := keyPair(t)
	signed := attack(t, func(c *gateway.Config) { c.Auth.Mode, c.Auth.JWT.PublicKey = auth.ModeJWT, public })
	shut := attack(t, func(c *gateway.Config) { c.Limits.Connections = 1 })
	holder, err := dialer.Dial("tcp", shut.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	anonymous := comes(t, func(int) string { return upgradeHead })
	anonymous(0, holder, bufio.NewReader(holder))

	bySecret, byKey := comes(t, tokenHeads(t, n, []byte(testSecret))), comes(t, tokenHeads(t, n, private))

	const (
		rounds = 3
		never  = 24 * time.Hour
	)
	plain, hmac, ecdsa, refused, stream := never, never, never, never, never
	for range rounds {
		plain = min(plain, open.perConnection(n, anonymous))
		hmac = min(hmac, shared.perConnection(n, bySecret))
		ecdsa = min(ecdsa, signed.perConnection(n, byKey))
		refused = min(refused, shut.perConnection(n, isTurnedAway(t)))
		stream = min(stream, shut.perConnection(n, isToldLater(t)))
	}
	t.Logf("CPU of the gateway per connection, best of %d times %d:", rounds, n)
	t.Logf("  over the limit, 503            %6.1f us", us(refused))
	for _, line := range []struct {
		what string
		took time.Duration
	}{
		{"over the limit, EventSource   ", stream},
		{"let in, anonymous             ", plain},
		{"let in, HS256 token, a channel", hmac},
		{"let in, ES256 token, a channel", ecdsa},
	} {
		t.Logf("  %s %6.1f us, %.1f times the 503", line.what, us(line.took), us(line.took)/us(refused))
	}
	// The ratio depends on the machine's cost of a system call, of which a 503 is six and little
	// else: 7.9 on one machine, 2.9 on another.
	const least = time.Duration(2)
	if ecdsa < least*refused {
		t.Errorf("a 503 costs %v, a client with a signed token %v, which is less than %d times that", refused, ecdsa, least)
	}
	if ecdsa < least*stream {
		t.Errorf("an EventSource that is told to come back costs %v, a client with a signed token %v, which is less than %d times that", stream, ecdsa, least)
	}
	// Without a token to verify there is little to save: a 503 includes closing the connection,
	// which the gateway initiates.
	if 3*plain < 2*refused {
		t.Errorf("a 503 costs %v, letting a client in %v", refused, plain)
	}
}

func us(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// keyPair returns a new key for ES256 in PEM.
func keyPair(t *testing.T) (private []byte, public string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	der2, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
		string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der2}))
}

// tokenHeads returns the handshakes of n users with a channel each.
func tokenHeads(t *testing.T, n int, key []byte) func(i int) string {
	t.Helper()
	signing, err := auth.NewSigningKey(key, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	heads := make([]string, n)
	for i := range heads {
		user := fmt.Sprintf("user.%d", i)
		text, err := auth.Mint(auth.Claims{Subject: user, Channels: []string{user}, Expires: time.Now().Add(time.Hour)}, signing)
		if err != nil {
			t.Fatal(err)
		}
		heads[i] = withHeader(upgradeHead, "Authorization: Bearer "+text)
	}
	return func(i int) string { return heads[i] }
}

// loris are clients that send a request head a byte at a time, and reconnect when they are cut off.
type loris struct {
	addr  string
	conns []net.Conn
	ended []atomic.Bool // set by the goroutines that read from conns
	cut   int           // how often one was cut off
	reads sync.WaitGroup
}

func newLoris(addr string, n int) *loris {
	return &loris{addr: addr, conns: make([]net.Conn, n), ended: make([]atomic.Bool, n)}
}

// step has each client send its next byte, evenly spread over a time.
func (l *loris) step(over time.Duration) {
	pause := over / time.Duration(len(l.conns)/50+1)
	for i, c := range l.conns {
		switch {
		case c == nil:
			l.connect(i)
		case l.ended[i].Load():
			c.Close()
			l.cut++
			l.connect(i)
		default:
			// Cut off just now, it may fail: the next step sees.
			_, _ = c.Write([]byte("x"))
		}
		if i%50 == 49 {
			time.Sleep(pause) // it's the attack's pace
		}
	}
}

// connect begins a head. The goroutine that reads from the connection ends with it, and close waits
// for it.
func (l *loris) connect(i int) {
	c, err := dialer.Dial("tcp", l.addr)
	if err != nil {
		l.conns[i] = nil // again at the next step
		return
	}
	_, _ = io.WriteString(c, "GET /v1/ws HTTP/1.1\r\nHost: a\r\nX-A: ")
	l.conns[i] = c
	l.ended[i].Store(false)
	l.reads.Go(func() {
		_, _ = io.Copy(io.Discard, c)
		l.ended[i].Store(true)
	})
}

func (l *loris) close() {
	for _, c := range l.conns {
		if c != nil {
			c.Close()
		}
	}
	l.reads.Wait()
}

// roundTrips has each client send pings at a pace for a time, and returns the
// 99th percentile of the times to the pong.
func roundTrips(t *testing.T, clients []*websocket.Conn, pace, during time.Duration) time.Duration {
	t.Helper()
	var (
		mu   sync.Mutex
		all  []time.Duration
		busy sync.WaitGroup
	)
	end := time.Now().Add(during)
	for i, c := range clients {
		busy.Go(func() {
			time.Sleep(pace * time.Duration(i) / time.Duration(len(clients)))
			for time.Now().Before(end) {
				begin := time.Now()
				c.SetReadDeadline(begin.Add(patience))
				err := c.WriteMessage(websocket.TextMessage, []byte(`{"type":"ping"}`))
				if err == nil {
					_, _, err = c.ReadMessage()
				}
				if err != nil {
					t.Errorf("a good client: %v", err)
					return
				}
				took := time.Since(begin)
				mu.Lock()
				all = append(all, took)
				mu.Unlock()
				time.Sleep(pace)
			}
		})
	}
	busy.Wait()
	slices.Sort(all)
	if len(all) == 0 {
		t.Fatal("no round trips")
	}
	return all[len(all)*99/100]
}

// Clients that never finish their head are cut off, and the others don't feel
// them.
func TestAttackSlowLoris(t *testing.T) {
	attackers, good, patient, during := 1000, 100, time.Second, 2*time.Second
	if *longAttacks {
		attackers, good, patient, during = 10_000, 1000, 5*time.Second, 12*time.Second
	}
	impatient := func(c *gateway.Config) { c.Limits.HeadTimeout = patient }
	a, other := attack(t, impatient), attack(t, impatient) // attacking the other measures the attackers' own load
	var clients []*websocket.Conn
	for range good {
		c, _, err := websocket.DefaultDialer.Dial("ws://"+a.addr+"/v1/ws", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, _, err := c.ReadMessage(); err != nil {
			t.Fatal(err)
		}
		clients = append(clients, c)
	}
	pace := time.Duration(good) * time.Millisecond

	// Other load on the machine can spoil one comparison, not each. Below the floor it's the
	// machine's noise: attackers and good clients share it.
	const floor = 5 * time.Millisecond
	beside := func(addr string) (p99 time.Duration, cut int) {
		l := newLoris(addr, attackers)
		l.step(patient) // not all in step, or they would be cut off in one
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for {
				select {
				case <-stop:
					return
				default:
					l.step(patient / 3)
				}
			}
		}()
		p99 = roundTrips(t, clients, pace, during)
		close(stop)
		<-stopped
		l.close()
		return p99, l.cut
	}
	var alone, elsewhere, under time.Duration
	for range 4 {
		alone = roundTrips(t, clients, pace, during)
		elsewhere, _ = beside(other.addr)
		var cut int
		under, cut = beside(a.addr)
		t.Logf("p99 of %d good clients: %.0f us alone, %.0f us beside %d slow heads, of which %d were cut off, %.0f us while these are at another gateway",
			good, us(alone), us(under), attackers, cut, us(elsewhere))
		if cut == 0 {
			t.Error("no slow head was cut off")
		}
		if under <= 2*max(elsewhere, floor) {
			return
		}
	}
	t.Errorf("p99 is %v under attack, %v while another gateway is", under, elsewhere)
}
