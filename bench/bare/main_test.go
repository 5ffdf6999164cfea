package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

const deadline = time.Minute

// TestMain runs the program itself where a test started it.
func TestMain(m *testing.M) {
	if os.Getenv("BARE_AS_PROGRAM") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// bare is a running program.
type bare struct {
	t        *testing.T
	cmd      *exec.Cmd
	listen   string
	commands io.WriteCloser
	answers  *bufio.Reader
}

func start(t *testing.T, args ...string) *bare {
	t.Helper()
	b := &bare{t: t, cmd: exec.Command(os.Args[0], args...)}
	b.cmd.Env = append(os.Environ(), "BARE_AS_PROGRAM=1")
	b.cmd.Stderr = os.Stderr
	var inErr error
	b.commands, inErr = b.cmd.StdinPipe()
	out, outErr := b.cmd.StdoutPipe()
	if err := errors.Join(inErr, outErr); err != nil {
		t.Fatal(err)
	}
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.cmd.Process.Kill()
		b.cmd.Wait()
	})
	b.answers = bufio.NewReader(out)
	line, err := b.answers.ReadString('\n')
	if err != nil {
		t.Fatalf("read the address: %v", err)
	}
	b.listen = strings.TrimSpace(line)
	return b
}

func dialTCP(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, deadline)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(deadline))
	t.Cleanup(func() { c.Close() })
	return c
}

// answer sends a command and returns the line that came back.
func (b *bare) answer(command string) string {
	b.t.Helper()
	if _, err := fmt.Fprintln(b.commands, command); err != nil {
		b.t.Fatal(err)
	}
	line, err := b.answers.ReadString('\n')
	if err != nil {
		b.t.Fatalf("%s: %v", command, err)
	}
	return line
}

func (b *bare) do(command string) (s Stats) {
	b.t.Helper()
	line := b.answer(command)
	if err := json.Unmarshal([]byte(line), &s); err != nil || strings.Contains(line, "error") {
		b.t.Fatalf("%s answered %q: %v", command, line, err)
	}
	return s
}

// until asks for the counters until they are as wanted.
func (b *bare) until(what string, good func(Stats) bool) Stats {
	b.t.Helper()
	for end := time.Now().Add(deadline); ; {
		s := b.do("stats")
		if good(s) {
			return s
		}
		if time.Now().After(end) {
			b.t.Fatalf("no %s: %+v", what, s)
		}
	}
}

func (b *bare) dial() *websocket.Conn {
	b.t.Helper()
	c, _, err := websocket.DefaultDialer.Dial("ws://"+b.listen+"/any?path", nil)
	if err != nil {
		b.t.Fatal(err)
	}
	c.SetReadDeadline(time.Now().Add(deadline))
	b.t.Cleanup(func() { c.Close() })
	return c
}

func TestHandshakeAndDelivery(t *testing.T) {
	for name, addr := range map[string]string{"IPv4": "127.0.0.1:0", "IPv6": "[::1]:0"} {
		t.Run(name, func(t *testing.T) {
			b := start(t, "-listen", addr)
			conns := []*websocket.Conn{b.dial(), b.dial(), b.dial()}
			for _, size := range []int{1, 125, 126, 2000, 70000} {
				s := b.do(fmt.Sprintf("send 2 %d", size))
				if s.Refused+s.Closed != 0 {
					t.Fatalf("send: %+v", s)
				}
				for _, c := range conns {
					for range 2 {
						kind, p, err := c.ReadMessage()
						if err != nil || kind != websocket.TextMessage || string(p) != strings.Repeat("x", size) {
							t.Fatalf("size %d: kind %d, %d bytes, %v", size, kind, len(p), err)
						}
					}
				}
			}
			s := b.do("stats")
			if s.Connections != 3 || s.Handshakes != 3 || s.Deliveries != 5*2*3 {
				t.Errorf("counters: %+v", s)
			}
		})
	}
}

func TestPingIsAnswered(t *testing.T) {
	b := start(t)
	conns := []*websocket.Conn{b.dial(), b.dial()}
	for range 3 {
		b.do("ping")
	}
	b.do("send 1 5")
	for _, c := range conns {
		// Reading answers the pings that came before the text.
		if _, p, err := c.ReadMessage(); err != nil || string(p) != "xxxxx" {
			t.Fatalf("got %q, %v", p, err)
		}
	}
	s := b.until("pongs", func(s Stats) bool { return s.Pongs == s.Pings })
	if s.Pings != 6 || s.Connections != 2 {
		t.Errorf("counters: %+v", s)
	}
	conns[0].WriteMessage(websocket.CloseMessage, nil)
	b.until("close", func(s Stats) bool { return s.Connections == 1 && s.Closed == 1 })
	if s := b.do("send 1 5"); s.Deliveries != 3 {
		t.Errorf("a closed connection was written to: %+v", s)
	}
}

// TestSplitInput sends a head and frames in parts, one with the end of the head
// and a pong.
func TestSplitInput(t *testing.T) {
	b := start(t)
	c := dialTCP(t, b.listen)
	pong := "\x8a\x83\x01\x02\x03\x04abc"
	parts := []string{
		"GET / HTTP/1.1\r\nHost: x\r\nSEC-Websocket-key:  dGhlIHNhbXBsZSBub25jZQ== \r\n\r",
		"\n" + pong + pong[:1], pong[1:4], pong[4:] + pong,
	}
	for i, part := range parts {
		if _, err := c.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
		// Wait for what the part completes, so that most parts are read alone.
		want := []int{0, 1, 1, 3}[i]
		b.until("pongs", func(s Stats) bool { return s.Pongs == want })
	}
	answer := bufio.NewReader(c)
	var head string
	for !strings.HasSuffix(head, "\r\n\r\n") {
		line, err := answer.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		head += line
	}
	// The key and its answer are those of RFC 6455 section 1.3.
	if !strings.HasPrefix(head, "HTTP/1.1 101 ") || !strings.Contains(head, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n") {
		t.Errorf("answer %q", head)
	}
}

func TestRefusals(t *testing.T) {
	b := start(t)
	for command, want := range map[string]string{
		"":               "unknown command",
		"send 1":         "unknown command",
		"send 0 10":      "count",
		"send 1 -1":      "size",
		"send 1 2000000": "size",
		"shout":          "unknown command",
	} {
		if line := b.answer(command); !strings.Contains(line, `"error"`) || !strings.Contains(line, want) {
			t.Errorf("%q answered %q", command, line)
		}
	}
	c := dialTCP(t, b.listen)
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Error("a request without a key was answered")
	}
	if s := b.do("stats"); s.Handshakes+s.Connections+s.Closed != 0 {
		t.Errorf("counters: %+v", s)
	}
	for name, args := range map[string][]string{
		"host name": {"-listen", "localhost:80"}, "argument": {"extra"}, "flag": {"-nothing"}, "in use": {"-listen", b.listen},
	} {
		if err := run(args); err == nil {
			t.Errorf("%s: started", name)
		}
	}
}

// TestEnd ends with its commands.
func TestEnd(t *testing.T) {
	b := start(t)
	b.dial()
	b.commands.Close()
	if err := b.cmd.Wait(); err != nil {
		t.Errorf("exit: %v", err)
	}
}
