package fanout

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// testDeadline is how long a test waits for something to come true.
const testDeadline = 30 * time.Second

// eventually fails the test unless fn comes true before the deadline.
func eventually(t testing.TB, what string, fn func() bool) {
	t.Helper()
	for end := time.Now().Add(testDeadline); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if fn() {
			return
		}
	}
	t.Fatalf("still not after %v: %s", testDeadline, what)
}

// redisServer is a real redis-server on a port of its own, which can be
// killed and started again.
type redisServer struct {
	t      testing.TB
	addr   string
	args   []string
	cmd    *exec.Cmd
	client *redis.Client
}

// startRedis starts a server that lives until the test ends.
func startRedis(t testing.TB, args ...string) *redisServer {
	t.Helper()
	s := newRedis(t, args...)
	s.start()
	return s
}

// newRedis reserves an address and starts nothing yet.
func newRedis(t testing.TB, args ...string) *redisServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	_, port, _ := net.SplitHostPort(addr)
	s := &redisServer{t: t, addr: addr}
	s.args = append([]string{"--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir()}, args...)
	s.client = redis.NewClient(&redis.Options{Addr: addr, Protocol: 2, DisableIdentity: true})
	t.Cleanup(func() {
		_ = s.client.Close()
		s.kill()
	})
	return s
}

func (s *redisServer) start() {
	s.t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		s.t.Fatal("these tests need redis-server in PATH: install the Debian package redis-server")
	}
	s.cmd = exec.Command(path, s.args...)
	s.cmd.Stdout, s.cmd.Stderr = nil, os.Stderr
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, "redis-server answers", func() bool {
		err := s.client.Ping(context.Background()).Err()
		return err == nil || strings.HasPrefix(err.Error(), "NOAUTH")
	})
}

// kill ends the server as a crash would.
func (s *redisServer) kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

func (s *redisServer) signal(sig syscall.Signal) {
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

func (s *redisServer) url() string { return "redis://" + s.addr }

// do runs one command.
func (s *redisServer) do(args ...any) any {
	s.t.Helper()
	v, err := s.client.Do(context.Background(), args...).Result()
	if err != nil {
		s.t.Fatalf("%v: %v", args, err)
	}
	return v
}

// calls returns how often the server has run a command.
func (s *redisServer) calls(command string) int {
	s.t.Helper()
	info := s.client.Info(context.Background(), "commandstats").Val()
	for line := range strings.Lines(info) {
		if rest, ok := strings.CutPrefix(line, "cmdstat_"+command+":calls="); ok {
			n, _, _ := strings.Cut(rest, ",")
			count, err := strconv.Atoi(n)
			if err != nil {
				s.t.Fatal(err)
			}
			return count
		}
	}
	return 0
}

// subscribers returns how many connections are subscribed to a channel.
func (s *redisServer) subscribers(channel string) int64 {
	s.t.Helper()
	return s.client.PubSubNumSub(context.Background(), channel).Val()[channel]
}

// publish publishes a plain message as any program may.
func (s *redisServer) publish(channel string, payload any) {
	s.t.Helper()
	if err := s.client.Publish(context.Background(), "push:"+channel, payload).Err(); err != nil {
		s.t.Fatal(err)
	}
}

// publishDurable publishes by the script as any program may.
func (s *redisServer) publishDurable(channel string, payload any, maxLen int) string {
	s.t.Helper()
	key := fmt.Sprintf("{push:%s}:log", channel)
	id, err := publishScript.Run(context.Background(), s.client, []string{key},
		"push:"+channel, payload, maxLen, 3600).Text()
	if err != nil {
		s.t.Fatal(err)
	}
	return id
}
