package main

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"loadgen": main})
}

// TestScripts runs the command lines of testdata/script. Each finds a small
// gateway of its own at $URL, with its Redis at $REDIS; $OTHERREDIS is nobody's.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			redis := miniredis.NewMiniRedis()
			if err := redis.Start(); err != nil {
				return err
			}
			e.Defer(redis.Close)
			g := newGateway(redis)
			e.Defer(g.close)
			e.Values["gateway"] = g
			e.Setenv("URL", g.server.URL)
			e.Setenv("REDIS", "redis://"+redis.Addr())
			other := miniredis.NewMiniRedis()
			if err := other.Start(); err != nil {
				return err
			}
			e.Defer(other.Close)
			e.Setenv("OTHERREDIS", "redis://"+other.Addr())
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":   exits,
			"clients": clients,
			"drop":    dropNext,
		},
	})
}

// exits CODE COMMAND... runs a command that must end with an exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit := (*exec.ExitError)(nil)
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		code = exit.ExitCode()
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

// clients N waits until N clients are connected.
func clients(ts *testscript.TestScript, _ bool, args []string) {
	g := ts.Value("gateway").(*gateway)
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	deadline := time.Now().Add(time.Minute)
	for g.count() != want {
		if time.Now().After(deadline) {
			ts.Fatalf("%d clients, want %d", g.count(), want)
		}
		time.Sleep(time.Millisecond)
	}
}

// drop N has the gateway lose the N-th message for one client.
func dropNext(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	ts.Value("gateway").(*gateway).dropAt(n)
}

func TestTerminal(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	file, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if terminal(null) != nil || terminal(file) != nil || terminal(new(strings.Builder)) != nil {
		t.Error("the null device, a file or a buffer is taken for a terminal")
	}
}
