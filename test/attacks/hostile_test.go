package attacks

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/pushgate/pushgate/internal/wsframe"
)

// hostileEnv makes the test binary a process of hostile clients; its value is an
// assault in JSON.
const hostileEnv = "ATTACKS_HOSTILE"

// assault is the task of a process of hostile clients.
type assault struct {
	Addr    string
	TLS     string // address for tlsKinds
	Clients int    // in all, as many of each kind
	Kinds   []string
}

// hostile is a client. It acts on its connection, which is closed when the attack ends, until
// something fails or it has done enough; then it reconnects.
type hostile func(c net.Conn, random *rand.Rand)

// kinds are the hostile clients by name.
var kinds = map[string]hostile{
	"slow heads": func(c net.Conn, _ *rand.Rand) {
		c.Write([]byte("GET /v1/ws HTTP/1.1\r\nHost: a\r\nX-A: "))
		for write(c, 100*time.Millisecond, []byte("a")) {
		}
	},
	"slow bodies": func(c net.Conn, _ *rand.Rand) {
		c.Write([]byte(post("/v1/poll", 60_000) + strings.Repeat(" ", 30_000)))
		for write(c, 100*time.Millisecond, []byte(" ")) {
		}
	},
	"malformed requests": func(c net.Conn, random *rand.Rand) {
		junk := make([]byte, 200)
		for k := range junk {
			junk[k] = byte(random.Uint32())
		}
		c.Write(append([]byte("GET /v1/ws HTTP/1.1\n"), junk...))
		drain(c, 100*time.Millisecond)
	},
	"bad tokens": func(c net.Conn, _ *rand.Rand) {
		c.Write([]byte(upgrade("/v1/ws?channels=a&token=" + strings.Repeat("eyJhbGciOiJIUzI1NiJ9.", 100))))
		drain(c, 100*time.Millisecond)
	},
	"resets": func(c net.Conn, random *rand.Rand) {
		c.Write([]byte(upgrade("/v1/ws?channels=hot")))
		time.Sleep(time.Duration(random.Int64N(int64(20 * time.Millisecond))))
	},
	"one-byte fragments": func(c net.Conn, _ *rand.Rand) {
		c.Write([]byte(upgrade("/v1/ws") + "\x01\x81\x00\x00\x00\x00a"))
		for write(c, 2*time.Millisecond, []byte("\x00\x81\x00\x00\x00\x00a")) {
		}
	},
	"empty fragments": func(c net.Conn, _ *rand.Rand) {
		c.Write([]byte(upgrade("/v1/ws") + "\x01\x81\x00\x00\x00\x00a"))
		many := []byte(strings.Repeat("\x00\x80\x00\x00\x00\x00", 500))
		for write(c, 10*time.Millisecond, many) {
		}
	},
	"pings": func(c net.Conn, _ *rand.Rand) {
		c.Write([]byte(upgrade("/v1/ws")))
		many := []byte(strings.Repeat(string(wsframe.AppendMasked(nil, ws.OpPing, make([]byte, 125), [4]byte{})), 50))
		for write(c, 10*time.Millisecond, many) {
		}
	},
	"partial messages": func(c net.Conn, _ *rand.Rand) {
		c.Write(append([]byte(upgrade("/v1/ws")), append([]byte{0x81, 0x80 | 126, 0xea, 0x60, 0, 0, 0, 0}, strings.Repeat("a", 50_000)...)...))
		for write(c, 100*time.Millisecond, []byte("a")) {
		}
	},
	"deaf clients": func(c net.Conn, random *rand.Rand) {
		path := []string{"/v1/ws?format=raw&channels=hot", "/v1/ws?channels=hot,hot.latest,hot.oldest", "/v1/sse?channels=hot,hot.latest,hot.oldest"}[random.IntN(3)]
		if strings.Contains(path, "/ws") {
			c.Write([]byte(upgrade(path)))
		} else {
			c.Write([]byte(get(path)))
		}
		time.Sleep(2*time.Second + time.Duration(random.Int64N(int64(3*time.Second))))
	},
	"channels of its own": func(c net.Conn, random *rand.Rand) {
		c.Write([]byte(upgrade("/v1/ws")))
		for at := random.Uint64(); ; at++ {
			name := fmt.Sprintf("x.%d", at)
			b := append(text(fmt.Sprintf(`{"type":"subscribe","channel":%q}`, name)), text(fmt.Sprintf(`{"type":"unsubscribe","channel":%q}`, name))...)
			if !write(c, time.Millisecond, b) {
				return
			}
		}
	},
	"catch-ups": func(c net.Conn, _ *rand.Rand) {
		go io.Copy(io.Discard, c) // ends with the connection
		c.Write([]byte(upgrade("/v1/ws")))
		ask := append(text(`{"type":"subscribe","channel":"large","since":"1-0"}`), text(`{"type":"unsubscribe","channel":"large"}`)...)
		for write(c, 300*time.Millisecond, ask) {
		}
	},
	"deaf catch-ups": func(c net.Conn, random *rand.Rand) {
		c.Write([]byte(upgrade("/v1/ws?channels=large&since=1-0")))
		time.Sleep(time.Second + time.Duration(random.Int64N(int64(2*time.Second))))
	},
	"wide polls": func(c net.Conn, random *rand.Rand) {
		r := bufio.NewReader(c)
		ask := []byte(get("/v1/poll?wait=0&channels=large," + names("p", random.IntN(1000), 99)))
		for range 20 {
			if !write(c, 50*time.Millisecond, ask) || skipResponse(r) != nil {
				return
			}
		}
	},
	"pipelined requests": func(c net.Conn, _ *rand.Rand) {
		many := []byte(strings.Repeat(get("/healthz"), 200))
		for write(c, 10*time.Millisecond, many) {
		}
	},
	"publishers": func(c net.Conn, _ *rand.Rand) {
		c.Write([]byte(upgrade("/v1/ws")))
		b := text(`{"type":"publish","channel":"hot","data":"` + strings.Repeat("x", 60_000) + `"}`)
		for write(c, 50*time.Millisecond, b) {
		}
	},
	"half TLS handshakes": func(c net.Conn, random *rand.Rand) {
		b := hello()
		if random.IntN(2) == 0 {
			b = b[:len(b)/2]
		}
		c.Write(b)
		drain(c, 2*time.Second)
	},
	"parked TLS records": func(c net.Conn, _ *rand.Rand) {
		if r, err := secure(c, tls.VersionTLS13, 0); err == nil {
			c.Write(r.parked())
			drain(c, 5*time.Second)
		}
	},
	"key update floods": func(c net.Conn, _ *rand.Rand) {
		r, err := secure(c, tls.VersionTLS13, 0)
		if err != nil {
			return
		}
		go io.Copy(io.Discard, c) // ends with the connection
		// Each comes with data, so that there is no end to them.
		for write(c, 10*time.Millisecond, r.updates(50, "\r\n")) {
		}
	},
	"garbage commands": func(c net.Conn, random *rand.Rand) {
		c.Write([]byte(upgrade("/v1/ws")))
		for write(c, 2*time.Millisecond, text(`{"type":"subscribe","channel":"`+strings.Repeat(`[{"`, 300))) {
		}
	},
}

// tlsKinds are those that connect to the TLS listener.
var tlsKinds = []string{"half TLS handshakes", "parked TLS records", "key update floods"}

// write writes after a pause, and reports whether that went well.
func write(c net.Conn, pause time.Duration, b []byte) bool {
	time.Sleep(pause)
	_, err := c.Write(b)
	return err == nil
}

// drain discards input for at most so long.
func drain(c net.Conn, most time.Duration) {
	c.SetReadDeadline(time.Now().Add(most))
	io.Copy(io.Discard, c)
}

// skipResponse reads a response with a length.
func skipResponse(r *bufio.Reader) error {
	n := 0
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		if line == "\r\n" {
			break
		}
		fmt.Sscanf(strings.ToLower(line), "content-length: %d", &n)
	}
	_, err := r.Discard(n)
	return err
}

// beHostile is the main function of the process: it attacks until its input ends, and prints
// how often clients connected.
func beHostile(spec string) int {
	var a assault
	if err := json.Unmarshal([]byte(spec), &a); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	var all sync.WaitGroup
	var came atomic.Int64
	for i := range a.Clients {
		name := a.Kinds[i%len(a.Kinds)]
		act, addr := kinds[name], a.Addr
		if slices.Contains(tlsKinds, name) {
			addr = a.TLS
		}
		all.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(i)))
			for ctx.Err() == nil {
				c, err := small.DialContext(ctx, "tcp", addr)
				if err != nil {
					continue
				}
				came.Add(1)
				end := context.AfterFunc(ctx, func() { c.Close() })
				c.SetDeadline(time.Now().Add(10 * time.Second))
				act(c, random)
				end()
				c.(*net.TCPConn).SetLinger(0)
				c.Close()
				time.Sleep(time.Duration(random.Int64N(int64(200 * time.Millisecond))))
			}
		})
	}
	all.Wait()
	fmt.Println(came.Load())
	return 0
}

// assaulted starts an attack and returns a function that ends it and reports how often the
// hostile clients connected.
func assaulted(t testing.TB, a assault) (end func() int) {
	t.Helper()
	spec, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	// Good clients and the gateway take precedence over the attackers, which would have
	// machines of their own. A process can't ask for that itself: it has several threads by
	// then.
	cmd := exec.Command("taskset", "--cpu-list", lastCPU(), "chrt", "--idle", "0", os.Args[0])
	cmd.Env = append(os.Environ(), hostileEnv+"="+string(spec))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return sync.OnceValue(func() (came int) {
		in.Close()
		fmt.Fscan(out, &came)
		cmd.Wait()
		return came
	})
}
