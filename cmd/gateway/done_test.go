package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/pushgate/pushgate/internal/gatewaytest"
	"github.com/pushgate/pushgate/internal/redistest"
)

// seen is a message as a client got it.
type seen struct{ id, data string }

// follower is a client of any transport that goes on at its last position.
type follower struct {
	name string
	// follow reads until ctx ends or the connection does.
	follow func(ctx context.Context, c *gatewaytest.Client)
	client gatewaytest.Client // owned by follow while it runs

	stop func()
	done chan struct{} // closed when follow has returned

	// Guarded by mu
	mu  sync.Mutex
	all []seen
}

func (f *follower) start(addr string) {
	ctx, cancel := context.WithCancel(context.Background())
	f.stop, f.done, f.client.Base = cancel, make(chan struct{}), "http://"+addr
	go func() {
		defer close(f.done)
		f.follow(ctx, &f.client)
	}()
}

func (f *follower) end() {
	f.stop()
	<-f.done
}

// take keeps a message, and all that must not be among the messages.
func (f *follower) take(m gatewaytest.Message) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch m.Type {
	case "", "welcome", "subscribed", "bye":
	case "message":
		f.all = append(f.all, seen{m.ID, string(m.Data)})
	default:
		f.all = append(f.all, seen{"unexpected", m.Type})
	}
	return nil
}

func (f *follower) taken() []seen {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.all)
}

// curl runs curl until it ends or ctx does.
func curl(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "curl", append([]string{"--silent", "--no-buffer", "--max-time", "60"}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// curlEvents is curl -N on /v1/sse.
func curlEvents(ctx context.Context, c *gatewaytest.Client) {
	cmd := curl(ctx, c.Base+"/v1/sse?channels=news", "--header", "Last-Event-ID: "+c.Position)
	out, err := cmd.StdoutPipe()
	if err != nil || cmd.Start() != nil {
		return
	}
	c.ReadEvents(out)
	cmd.Wait()
}

// curlPolls is curl on /v1/poll, again and again.
func curlPolls(ctx context.Context, c *gatewaytest.Client) {
	for ctx.Err() == nil {
		out, err := curl(ctx, "--include", c.Base+c.PollPath()).Output()
		if err != nil {
			return
		}
		resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(out)), nil)
		if err != nil || c.ReadPoll(resp) != nil {
			return
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
	redis := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	a, b := startGateway(t, redis), startGateway(t, redis)

	var published []seen
	publish := func(n int) {
		t.Helper()
		for range n {
			data := fmt.Sprintf(`{"n":%d}`, len(published))
			published = append(published, seen{redis.PublishDurable("news", data), data})
		}
	}
	followers := []*follower{
		{name: "curl on a stream", follow: curlEvents},
		{name: "curl on polls", follow: curlPolls},
		{name: "WebSocket", follow: func(ctx context.Context, c *gatewaytest.Client) { c.WebSocket(ctx) }},
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
			gatewaytest.Eventually(t, fmt.Sprintf("%s, %s: all %d messages", when, f.name, len(published)), func() bool {
				got = f.taken()
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
		f.client = gatewaytest.Client{Channels: []string{"news"}, Wait: 5, Most: 7, Position: "0-0", Take: f.take}
		f.start(a.Public)
	})
	publish(20)
	everythingSeen("at first")

	comeBack(a.Public)
	everythingSeen("after the clients were killed")

	comeBack(b.Public)
	everythingSeen("on another gateway")

	comeBack(a.Public)
	everythingSeen("back on the first one")
	a.Kill()
	all(func(f *follower) { <-f.done })
	publish(10)
	a.Restart()
	comeBack(a.Public)
	everythingSeen("after the gateway was killed")

	redis.Kill()
	redis.Start()
	a.Ready()
	publish(10)
	everythingSeen("after Redis was killed")
	comeBack(b.Public)
	everythingSeen("on another gateway after that")

	redis.Kill()
	a.Kill()
	b.Kill()
	all(func(f *follower) { <-f.done })
	redis.Start()
	publish(10)
	a.Restart()
	b.Restart()
	comeBack(a.Public)
	everythingSeen("after all were killed")
	all((*follower).end)
}
