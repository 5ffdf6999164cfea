package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pushgate/pushgate/internal/redistest"
)

// patience is how long the test waits for something to come true.
const patience = time.Minute

// seen is a message as a client got it.
type seen struct{ id, data string }

// follower is a client of any transport that keeps its last position.
type follower struct {
	name string
	// follow reads from a gateway, from a position on or from now, until ctx
	// ends or the connection does. It calls saw for each message and with the
	// new position.
	follow func(ctx context.Context, addr, position string, saw func(position string, list ...seen))

	stop func()
	done chan struct{} // closed when follow has returned

	// Guarded by mu
	mu       sync.Mutex
	position string
	all      []seen
}

func (f *follower) start(addr string) {
	ctx, cancel := context.WithCancel(context.Background())
	f.stop, f.done = cancel, make(chan struct{})
	position := f.position
	go func() {
		defer close(f.done)
		f.follow(ctx, addr, position, func(position string, list ...seen) {
			f.mu.Lock()
			defer f.mu.Unlock()
			if position != "" {
				f.position = position
			}
			f.all = append(f.all, list...)
		})
	}()
}

func (f *follower) end() {
	f.stop()
	<-f.done
}

func (f *follower) state() (position string, all []seen) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.position, slices.Clone(f.all)
}

// curl runs curl until it ends or ctx does.
func curl(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "curl", append([]string{"--silent", "--no-buffer", "--max-time", "60"}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// followEvents is curl -N on /v1/sse.
func followEvents(ctx context.Context, addr, position string, saw func(string, ...seen)) {
	args := []string{"http://" + addr + "/v1/sse?channels=news"}
	if position != "" {
		args = append(args, "--header", "Last-Event-ID: "+position)
	}
	cmd := curl(ctx, args...)
	out, err := cmd.StdoutPipe()
	if err != nil || cmd.Start() != nil {
		return
	}
	defer cmd.Wait()
	var id, name string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "id":
			id = value
		case "event":
			name = value
		case "data":
			if name == "message" {
				saw(id, parseSeen([]byte(value)))
			} else {
				saw(id, notMessages(name)...)
			}
		}
	}
}

// followPoll is curl on /v1/poll, again and again.
func followPoll(ctx context.Context, addr, position string, saw func(string, ...seen)) {
	for ctx.Err() == nil {
		var out bytes.Buffer
		cmd := curl(ctx, "--include", "http://"+addr+"/v1/poll?channels=news&wait=5&max=7&cursor="+url.QueryEscape(position))
		cmd.Stdout = &out
		if cmd.Run() != nil {
			return
		}
		head, body, _ := strings.Cut(out.String(), "\r\n\r\n")
		var answer struct {
			Cursor   string
			Messages []json.RawMessage
			Gaps     []string
		}
		if body != "" {
			json.Unmarshal([]byte(body), &answer)
		} else {
			_, answer.Cursor, _ = strings.Cut(head, "Poll-Cursor: ")
			answer.Cursor, _, _ = strings.Cut(answer.Cursor, "\r\n")
		}
		var list []seen
		for _, m := range answer.Messages {
			list = append(list, parseSeen(m))
		}
		for range answer.Gaps {
			list = append(list, notMessages("gap")...)
		}
		position = answer.Cursor
		saw(position, list...)
	}
}

// followWebSocket subscribes over a WebSocket.
func followWebSocket(ctx context.Context, addr, position string, saw func(string, ...seen)) {
	c, _, err := websocket.DefaultDialer.DialContext(ctx, "ws://"+addr+"/v1/ws", nil)
	if err != nil {
		return
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.NetConn().Close() })()
	subscribe := map[string]string{"type": "subscribe", "channel": "news"}
	if position != "" {
		subscribe["since"] = position
	}
	if c.WriteJSON(subscribe) != nil {
		return
	}
	for {
		_, text, err := c.ReadMessage()
		if err != nil {
			return
		}
		var m struct{ Type, ID string }
		json.Unmarshal(text, &m)
		if m.Type == "message" {
			saw(m.ID, parseSeen(text))
		} else {
			saw(m.ID, notMessages(m.Type)...)
		}
	}
}

func parseSeen(text []byte) seen {
	var m struct {
		ID   string
		Data json.RawMessage
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return seen{"no JSON", string(text)}
	}
	return seen{m.ID, string(m.Data)}
}

// notMessages returns frames that must not be among the messages.
func notMessages(name string) []seen {
	switch name {
	case "welcome", "subscribed", "bye":
		return nil
	}
	return []seen{{"unexpected", name}}
}

// built returns the program.
func built(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "gateway")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

// served is a gateway process that can be killed and started again.
type served struct {
	t           *testing.T
	cmd         *exec.Cmd
	args        []string
	addr, admin string
}

func newServed(t *testing.T, program, redisURL string, flags ...string) *served {
	s := &served{t: t, addr: freeAddress(t), admin: freeAddress(t)}
	s.args = append([]string{program, "serve", "--listen", s.addr, "--admin.listen", s.admin, "--redis.url", redisURL, "--log.level", "error"}, flags...)
	s.start()
	t.Cleanup(s.kill)
	return s
}

func (s *served) start() {
	s.t.Helper()
	s.cmd = exec.Command(s.args[0], s.args[1:]...)
	s.cmd.Stderr = os.Stderr
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.ready()
}

func (s *served) ready() {
	s.t.Helper()
	wait(s.t, "the gateway is ready", func() bool {
		resp, err := http.Get("http://" + s.admin + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == 200
	})
}

// kill ends it as kill -9 does.
func (s *served) kill() {
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

func wait(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not after %v: %s", patience, what)
		}
	}
}

// TestOneChannelOnAllTransports has curl on a stream, curl on polls and a
// WebSocket follow a channel of durable messages through everything that may
// end: themselves, their gateway, Redis. All see the same messages with the
// same ids, and no hole.
func TestOneChannelOnAllTransports(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Fatal("this test needs curl in PATH: install the Debian package curl")
	}
	program := built(t)
	script, err := os.ReadFile("../../configs/publish.lua")
	if err != nil {
		t.Fatal(err)
	}
	redis := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	a, b := newServed(t, program, redis.URL()), newServed(t, program, redis.URL())

	var published []seen
	publish := func(n int) {
		t.Helper()
		for range n {
			data := fmt.Sprintf(`{"n":%d}`, len(published))
			id, err := redis.Client.Eval(context.Background(), string(script), []string{"{push:news}:log"}, "push:news", data, 1000, 3600).Text()
			if err != nil {
				t.Fatal(err)
			}
			published = append(published, seen{id, data})
		}
	}
	followers := []*follower{
		{name: "curl on a stream", follow: followEvents},
		{name: "curl on polls", follow: followPoll},
		{name: "WebSocket", follow: followWebSocket},
	}
	all := func(fn func(*follower)) {
		for _, f := range followers {
			fn(f)
		}
	}
	everythingSeen := func(when string) {
		t.Helper()
		all(func(f *follower) {
			t.Helper()
			var got []seen
			wait(t, fmt.Sprintf("%s, %s: all %d messages", when, f.name, len(published)), func() bool {
				_, got = f.state()
				return len(got) >= len(published)
			})
			if !slices.Equal(got, published) {
				t.Fatalf("%s, %s: got\n%v, published were\n%v", when, f.name, got, published)
			}
		})
	}
	comeBack := func(addr string) {
		all((*follower).end)
		publish(10)
		all(func(f *follower) { f.start(addr) })
		publish(10)
	}

	publish(1) // for the first position
	all(func(f *follower) {
		f.position = "0-0"
		f.start(a.addr)
	})
	publish(20)
	everythingSeen("at first")

	comeBack(a.addr)
	everythingSeen("after the clients were killed")

	comeBack(b.addr)
	everythingSeen("on another gateway")

	comeBack(a.addr)
	everythingSeen("back on the first one")
	a.kill()
	all(func(f *follower) { <-f.done })
	publish(10)
	a.start()
	comeBack(a.addr)
	everythingSeen("after the gateway was killed")

	redis.Kill()
	redis.Start()
	a.ready()
	publish(10)
	everythingSeen("after Redis was killed")
	comeBack(b.addr)
	everythingSeen("on another gateway after that")

	redis.Kill()
	a.kill()
	b.kill()
	all(func(f *follower) { <-f.done })
	redis.Start()
	publish(10)
	a.start()
	b.start()
	comeBack(a.addr)
	everythingSeen("after all were killed")
	all((*follower).end)
}
