// Package redistest runs real redis-servers for tests.
package redistest

import (
	"cmp"
	"context"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pushgate/pushgate/configs"
	"github.com/pushgate/pushgate/internal/loopback"
)

// deadline is how long a server may take to answer.
const deadline = time.Minute

// Server is a redis-server on a port of its own, which can be killed and
// started again.
type Server struct {
	// Addr is host:port, the same after each start.
	Addr string
	// Secure is where it also listens, with TLS; empty without Certificates.
	Secure string
	// Client is for the test's own commands.
	Client *redis.Client

	t       testing.TB
	port    string
	args    []string
	cmd     *exec.Cmd // nil while it's down
	touched bool      // killed or signalled: no other test's
}

// Start returns a running server that is the test's until it ends. Without args, which
// are added to its command line, --appendonly yes for one, it may be one that an
// earlier test has used: nothing is left of that.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	if len(args) > 0 {
		s := New(t, args...)
		s.Start()
		return s
	}
	s := takeSpare()
	if s == nil {
		s = reserve(t, os.TempDir()) // it writes no file
	}
	s.t = t
	if s.cmd == nil {
		s.Start()
	}
	t.Cleanup(s.giveBack)
	return s
}

// spares are servers that tests have given back. They end with the process.
var spares struct {
	mu   sync.Mutex
	idle []*Server // guarded by mu
}

func takeSpare() *Server {
	spares.mu.Lock()
	defer spares.mu.Unlock()
	n := len(spares.idle)
	if n == 0 {
		return nil
	}
	s := spares.idle[n-1]
	spares.idle = spares.idle[:n-1]
	return s
}

// giveBack empties the server for the next test, or ends it when it isn't as it was
// started.
func (s *Server) giveBack() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if s.touched || s.configured(ctx) ||
		s.Client.Do(ctx, "CLIENT", "KILL", "TYPE", "pubsub").Err() != nil ||
		s.Client.FlushAll(ctx).Err() != nil || s.Client.ScriptFlush(ctx).Err() != nil || s.Client.ConfigResetStat(ctx).Err() != nil {
		s.Client.Close()
		s.Kill()
		return
	}
	spares.mu.Lock()
	defer spares.mu.Unlock()
	spares.idle = append(spares.idle, s)
}

// configured reports whether the server's configuration was changed.
func (s *Server) configured(ctx context.Context) bool {
	stats, err := s.Client.Info(ctx, "commandstats").Result()
	return err != nil || slices.ContainsFunc([]string{"config|set", "acl|setuser", "client|pause", "replicaof", "debug"},
		func(command string) bool { return strings.Contains(stats, "cmdstat_"+command+":") })
}

// New reserves an address and starts nothing yet.
func New(t testing.TB, args ...string) *Server {
	t.Helper()
	s := reserve(t, t.TempDir(), args...)
	t.Cleanup(func() {
		s.Client.Close()
		s.Kill()
	})
	return s
}

func reserve(t testing.TB, dir string, args ...string) *Server {
	t.Helper()
	addr, err := loopback.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, Addr: addr}
	_, s.port, _ = net.SplitHostPort(addr)
	s.args = append([]string{"--port", s.port, "--bind", "127.0.0.1", "--save", "", "--dir", dir}, args...)
	s.Client = redis.NewClient(&redis.Options{Addr: s.Addr, Protocol: 2, DisableIdentity: true})
	return s
}

// URL returns the address in the form of the configuration.
func (s *Server) URL() string { return "redis://" + s.Addr }

// Start starts the server, again after Kill, and waits until it answers.
func (s *Server) Start() {
	s.t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		s.t.Fatal("this test needs redis-server in PATH: install the Debian package redis-server")
	}
	s.cmd = exec.Command(path, s.args...)
	s.cmd.Stderr = os.Stderr
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.await("redis-server answers", s.answers)
}

// await waits until something is true of the server.
func (s *Server) await(what string, fn func() bool) {
	s.t.Helper()
	for end := time.Now().Add(deadline); !fn(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("%s: still not after %v: %s", s.Addr, deadline, what)
		}
	}
}

// Do runs one command.
func (s *Server) Do(args ...any) any {
	s.t.Helper()
	v, err := s.Client.Do(context.Background(), args...).Result()
	if err != nil {
		s.t.Fatalf("%v: %v", args, err)
	}
	return v
}

// answers reports whether the server takes commands, if only from clients that know its
// password.
func (s *Server) answers() bool {
	err := s.Client.Ping(context.Background()).Err()
	return err == nil || strings.HasPrefix(err.Error(), "NOAUTH")
}

// Kill ends the server as a crash would.
func (s *Server) Kill() {
	s.touched = true
	if s.cmd != nil {
		s.cmd.Process.Kill()
		s.cmd.Wait()
		s.cmd = nil
	}
}

// Signal sends a signal: SIGSTOP makes a server that accepts and never answers.
func (s *Server) Signal(sig syscall.Signal) {
	s.t.Helper()
	s.touched = true
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// PID returns the server's process.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Publish publishes to a channel of a gateway with the default prefix and
// returns the number of receivers.
func (s *Server) Publish(channel string, payload any) int64 {
	s.t.Helper()
	n, err := s.Client.Publish(context.Background(), "push:"+channel, payload).Result()
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// PublishScript is the script that backends are given.
var PublishScript = redis.NewScript(configs.Publish)

// PublishDurable publishes a durable message as a backend does, and returns its id. It may be
// called in any goroutine.
func (s *Server) PublishDurable(channel, payload string) (id string) {
	s.t.Helper()
	channel = "push:" + channel
	id, err := PublishScript.Run(context.Background(), s.Client, []string{"{" + channel + "}:log"}, channel, payload, 10_000, 3600).Text()
	if err != nil {
		s.t.Error(err)
	}
	return id
}

// Calls returns how often the server has run a command since its start.
func (s *Server) Calls(command string) int {
	s.t.Helper()
	calls, _, _ := strings.Cut(s.info("commandstats", "cmdstat_"+command+":calls="), ",")
	return s.number(cmp.Or(calls, "0"))
}

// Stat returns a count that the server keeps.
func (s *Server) Stat(name string) int {
	s.t.Helper()
	return s.number(s.info("stats", name+":"))
}

// info returns the rest of the line with a prefix in a section of INFO, or "".
func (s *Server) info(section, prefix string) string {
	for line := range strings.Lines(s.Client.Info(context.Background(), section).Val()) {
		if value, ok := strings.CutPrefix(line, prefix); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func (s *Server) number(text string) int {
	s.t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}
