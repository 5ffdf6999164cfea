package main

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/pushgate/pushgate/internal/gatewaytest"
	"github.com/pushgate/pushgate/internal/redistest"
)

// TestMain puts this test binary into PATH as the program "gateway".
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"gateway": main})
}

func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Values[testKey{}] = t
			e.Setenv("FREE_PORT", freePort(t))
			e.Setenv("PUBLIC_PORT", freePort(t))
			e.Setenv("ADMIN_PORT", freePort(t))
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"certificates": makeCertificates,
			"redis":        startRedis,
			"signal":       sendSignal,
			"status":       waitStatus,
			"waitfor":      waitFor,
		},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// freePort returns a port for a server that is told where to listen.
func freePort(t *testing.T) string {
	_, port, err := net.SplitHostPort(gatewaytest.Address(t))
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// startGateway runs the program on a Redis, which may be killed, until the test ends.
func startGateway(t *testing.T, redis *redistest.Server, flags ...string) *gatewaytest.Process {
	t.Helper()
	return gatewaytest.Start(t, "gateway", redis, []string{"redis does not deliver"}, flags...)
}

// makeCertificates is the script command "certificates": it writes the certificates of an authority, of
// www.example.com and of a client into the directory.
func makeCertificates(ts *testscript.TestScript, neg bool, args []string) {
	made := redistest.NewCertificates(ts.Value(testKey{}).(*testing.T), "www.example.com")
	for file, name := range map[string]string{
		made.CA: "ca.pem", made.Server: "server.pem", made.ServerKey: "server.key", made.Client: "client.pem", made.ClientKey: "client.key",
	} {
		text, err := os.ReadFile(file)
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs(name), text, 0o600))
	}
}

// testKey is the key of the *testing.T among a script's values.
type testKey struct{}

// startRedis is the script command "redis": a redis-server on a socket in the
// script's directory, named by the variable REDIS, that ends with the script.
func startRedis(ts *testscript.TestScript, neg bool, args []string) {
	// The path of a socket is limited to 107 bytes, so a short one is made.
	home, err := os.MkdirTemp("/tmp", "redis.")
	ts.Check(err)
	socket := filepath.Join(home, "s")
	server := exec.Command("redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--dir", home)
	ts.Check(server.Start())
	ts.Defer(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
		_ = os.RemoveAll(home)
	})
	until(ts, "redis-server to listen", func() bool {
		c, err := net.Dial("unix", socket)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	ts.Setenv("REDIS", "unix://"+socket)
	ts.Setenv("REDIS_SOCKET", socket)
}

// sendSignal is the script command "signal TERM|INT|HUP": it signals the newest
// background command. The built-in kill knows no TERM.
func sendSignal(ts *testscript.TestScript, neg bool, args []string) {
	signals := map[string]os.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "HUP": syscall.SIGHUP}
	if len(args) != 1 || signals[args[0]] == nil {
		ts.Fatalf("usage: signal TERM|INT|HUP")
	}
	running := ts.BackgroundCmds()
	if len(running) == 0 {
		ts.Fatalf("no command runs in the background")
	}
	ts.Check(running[len(running)-1].Process.Signal(signals[args[0]]))
}

// waitFor is the script command "waitfor TEXT COMMAND...": it repeats the
// command until its output holds the text.
func waitFor(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: waitfor TEXT COMMAND [ARGUMENT...]")
	}
	var last []byte
	until(ts, args[0], func() bool {
		last, _ = exec.Command(args[1], args[2:]...).CombinedOutput()
		return strings.Contains(string(last), args[0])
	})
	ts.Logf("%s", last)
}

// waitStatus is the script command "status CODE URL [HEADER VALUE]": it repeats
// a request until the answer has that status.
func waitStatus(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 && len(args) != 4 {
		ts.Fatalf("usage: status CODE URL [HEADER VALUE]")
	}
	until(ts, args[0]+" from "+args[1], func() bool {
		request, err := http.NewRequest("GET", args[1], nil)
		ts.Check(err)
		request.Close = true
		if len(args) == 4 {
			request.Header.Set(args[2], args[3])
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return false
		}
		response.Body.Close()
		return strconv.Itoa(response.StatusCode) == args[0]
	})
}

func until(ts *testscript.TestScript, what string, done func() bool) {
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("waited a minute for %s", what)
		}
	}
}
