package loadgen

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/agent"
	"github.com/pushgate/pushgate/internal/loadgen/client"
)

// Clients in other processes give the same figures as in one process.
func TestAgentsFanout(t *testing.T) {
	t.Parallel()
	s := newScripted()
	s.faults = func(sub, n int) fault {
		return map[[2]int]fault{{1, 5}: drop, {2, 7}: double, {3, 9}: holdBack, {4, 31}: closeOff}[[2]int{sub, n}]
	}
	c := s.start(t, 8, 40)
	c.Agents, c.AgentCommands = 2, []string{os.Args[0] + " agent"}
	c.JWTKey = keyFile(t, []byte("secret"))
	r := mustFanout(t, s, c)
	want := figures{expected: 320, delivered: 309, missing: 11, duplicated: 1, reordered: 1, lost: 1, incomplete: 2}
	if got := figuresOf(r); got != want {
		t.Errorf("got %+v, want %+v: %q", got, want, r.Failed)
	}
	if r.Fanout.Due.Count != 309 || r.Connect.Handshake.Count != 8 || r.Losses["closed 4002: slow"] != 1 || len(r.Fanout.Examples) != 2 {
		t.Errorf("latencies of %d, handshakes of %d, losses %v, examples %q", r.Fanout.Due.Count, r.Connect.Handshake.Count, r.Losses, r.Fanout.Examples)
	}
	clients := 0
	for _, a := range r.Agents {
		clients += a.Clients
		if a.Offset > 1000 || a.Offset < -1000 || a.Uncertainty <= 0 {
			t.Errorf("agent %+v", a)
		}
	}
	if len(r.Agents) != 3 || clients != 8 {
		t.Errorf("agents %+v", r.Agents)
	}
	if d := time.Duration(r.Fanout.Real.Max); d <= 0 || d > 5*time.Second {
		t.Errorf("latency up to %v", d)
	}
}

// Stages, storms and churn go over several processes too.
func TestAgentsScenarios(t *testing.T) {
	t.Parallel()
	t.Run("stages", func(t *testing.T) {
		s := newScripted()
		c := s.start(t, 1, 1)
		c.Agents, c.Stages = 2, "->11@500/s, hold 50ms, ->3@500/s, ->0"
		r, err := Idle(t.Context(), c, Options{})
		if err != nil {
			t.Fatal(err)
		}
		var got []int64
		for _, x := range r.Steps {
			got = append(got, x.Clients)
		}
		if !r.Good() || fmt.Sprint(got) != "[11 11 3 0]" || r.Counters.Closed != 11 {
			t.Errorf("clients %v: %q", got, r.Failed)
		}
	})
	t.Run("storm", func(t *testing.T) {
		s := newScripted()
		c := stormConfig(t, s, 20)
		c.Agents, c.Resume = 2, true
		r := mustStorm(t, s, c)
		if x, f := r.Storm, r.Fanout; !r.Good() || x.Clients != 10 || x.Returned != 10 || x.Back100 <= 0 || f.Missing != 0 || f.Duplicated != 0 || x.Handshake.Count != 10 {
			t.Errorf("%+v, %+v: %q", x, f, r.Failed)
		}
	})
	t.Run("churn", func(t *testing.T) {
		s := newScripted()
		c := s.start(t, 20, 1)
		c.Agents, c.Share, c.ChurnRate, c.Rate, c.Duration = 2, 0.5, 100, 0, 500*time.Millisecond
		r, err := churn.with(t.Context(), c, Options{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if x := r.Churn; r.Good() != (x.Skipped == 0) || x.Slots < 20 || x.Slots > uint64(100*x.Effort.Seconds)+4 || x.Cycles+x.Skipped != x.Slots {
			t.Errorf("%+v: %q", x, r.Failed)
		}
	})
}

// A clock that is a minute ahead is found, reported and corrected.
func TestAgentsClock(t *testing.T) {
	t.Parallel()
	s := newScripted()
	c := s.start(t, 4, 20)
	// A line of a shell, whatever it takes.
	c.AgentCommands = []string{fmt.Sprintf("%s=1m %s agent", skewVariable, os.Args[0]), fmt.Sprintf("cd / && %s=-1m %s agent", skewVariable, os.Args[0])}
	r := mustFanout(t, s, c)
	if !r.Good() || len(r.Agents) != 2 {
		t.Fatalf("%+v: %q", r.Agents, r.Failed)
	}
	for i, want := range []float64{60000, -60000} {
		a := r.Agents[i]
		if d := a.Offset - want; d > 1000 || d < -1000 || !a.Corrected || a.Drift > 1000 || a.Drift < -1000 {
			t.Errorf("agent %+v, want an offset of %v ms", a, want)
		}
	}
	if l := r.Fanout.Real; time.Duration(l.Max) > 5*time.Second || l.P50 == 0 {
		t.Errorf("latencies %+v", l)
	}
}

// A program that is no agent, or dies, is reported and ends the run.
func TestAgentsBad(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		command string
		agents  int
		want    string
	}{
		"not found":     {"/no/such/program", 0, "not found"},
		"says no":       {"sh -c 'echo permission denied >&2; exit 255'", 0, "permission denied"},
		"a shell":       {"echo Welcome to host", 0, `does not speak like "loadgen agent"`},
		"other version": {`sh -c 'read l; echo "{\"id\":1,\"schema\":\"pushgate.loadgen/0\"}"; cat >/dev/null'`, 0, "of another version"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newScripted()
			c := s.start(t, 4, 1)
			c.Agents, c.AgentCommands = tt.agents, []string{tt.command}
			_, err := Idle(t.Context(), c, Options{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	t.Run("dies", func(t *testing.T) {
		s := newScripted()
		c := s.start(t, 4, 1)
		c.Hold = time.Hour
		// Its output ends after it has started; the process with it.
		c.AgentCommands = []string{fmt.Sprintf("timeout -s KILL 2 %s agent", os.Args[0])}
		r, err := Idle(t.Context(), c, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if text := strings.Join(r.Failed, "\n"); r.Good() || !strings.Contains(text, "it ended") {
			t.Errorf("failed %q", r.Failed)
		}
	})
}

// The counts of a process that is killed stand as they were known last, and an unknown figure
// meets no limit.
func TestAgentsKilled(t *testing.T) {
	t.Parallel()
	pid := filepath.Join(t.TempDir(), "pid")
	s := newScripted()
	s.stall = func(n int) time.Duration {
		if n == 20 {
			signalFrom(t, pid, syscall.SIGKILL)
		}
		return 0
	}
	c := s.start(t, 8, 40)
	c.AgentCommands = []string{os.Args[0] + " agent", fmt.Sprintf("sh -c 'echo $$ >%s; exec %s agent'", pid, os.Args[0])}
	r := mustFanout(t, s, c)
	if len(r.Failed) != 1 || r.Fanout.PerSecond <= 0 {
		t.Errorf("%.1f /s, failed %q", r.Fanout.PerSecond, r.Failed)
	}
	if n := r.Counters; r.Good() || !r.Partial || !r.Fanout.Unaudited || n.Ready != 8 || n.Established != 8 {
		t.Errorf("good %v, partial %v, unaudited %v, counters %+v", r.Good(), r.Partial, r.Fanout.Unaudited, n)
	}
	r.Judge(mustSLOs(t, "missing==0", "missing_share<1%", "lost==0", "failed==0", "clients==8", "delivery.p99<1m", "handshake.p99<1m", "skipped==0"))
	for _, v := range r.SLOs {
		if want := v.Figure == "skipped"; v.Measured != want || v.Met != want {
			t.Errorf("%s: measured %v, met %v", v.SLO, v.Measured, v.Met)
		}
	}
	var table bytes.Buffer
	if err := r.WriteTable(&table); err != nil || !strings.Contains(table.String(), "missing==0                   -       not measured") || r.Word() != "FAILED" {
		t.Errorf("%v\n%s", err, table.String())
	}
}

// Processes that hang are given up once; nothing waits for them again.
func TestAgentsHang(t *testing.T) {
	t.Parallel()
	pid := filepath.Join(t.TempDir(), "pid")
	s := newScripted()
	s.stall = func(n int) time.Duration {
		if n == 20 {
			signalFrom(t, pid+"0", syscall.SIGSTOP)
			signalFrom(t, pid+"1", syscall.SIGSTOP)
		}
		return 0
	}
	c := s.start(t, 8, 40)
	c.AgentPatience = 1500 * time.Millisecond
	for k := range 3 {
		c.AgentCommands = append(c.AgentCommands, fmt.Sprintf("echo $$ >%s%d; exec %s agent", pid, k, os.Args[0]))
	}
	began := time.Now()
	r := mustFanout(t, s, c)
	if text := strings.Join(r.Failed, "\n"); r.Good() || !r.Partial || !strings.Contains(text, "no answer within 1.5s, given up") || time.Since(began) > 8*time.Second {
		t.Errorf("after %v, partial %v: %q", time.Since(began), r.Partial, r.Failed)
	}
}

// All that hang are found out by one order.
func TestAgentsHangTogether(t *testing.T) {
	t.Parallel()
	s := newScripted()
	c := s.start(t, 4, 1)
	pid := filepath.Join(t.TempDir(), "pid")
	c.AgentPatience = time.Second
	for k := range 3 {
		c.AgentCommands = append(c.AgentCommands, fmt.Sprintf("echo $$ >%s%d; exec %s agent", pid, k, os.Args[0]))
	}
	r, err := newRun(t.Context(), "idle", c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.finish()
	signalFrom(t, pid+"0", syscall.SIGSTOP)
	signalFrom(t, pid+"1", syscall.SIGSTOP)
	_, err = r.clients.Execute(client.Command{Do: client.DoAudit})
	if err == nil {
		t.Fatal("an order that two did not do has no error")
	}
	for k := range 3 {
		if told := strings.Contains(err.Error(), fmt.Sprintf("agent %d (", k)); told != (k < 2) {
			t.Errorf("agent %d is given up: %v; %v", k, told, err)
		}
	}
}

// signalFrom sends a signal to the process of a file.
func signalFrom(t *testing.T, file string, signal syscall.Signal) {
	text, _ := os.ReadFile(file)
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	if pid < 2 || syscall.Kill(pid, signal) != nil {
		t.Errorf("can't signal process %q", text)
	}
}

// An agent that gets nonsense says so; at the end of its input it closes its clients.
func TestServeAgent(t *testing.T) {
	s := newScripted()
	c := s.start(t, 3, 1)
	toAgent, in := io.Pipe()
	out, fromAgent := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- agent.Serve(context.Background(), toAgent, fromAgent, 0) }()
	orders, answers := json.NewEncoder(in), json.NewDecoder(out)
	do := func(o client.Command) client.Answer {
		t.Helper()
		if err := orders.Encode(o); err != nil {
			t.Fatal(err)
		}
		for {
			var x client.Answer
			if err := answers.Decode(&x); err != nil {
				t.Fatal(err)
			}
			if x.ID == o.ID {
				return x
			}
		}
	}
	if x := do(client.Command{ID: 1, Do: client.DoRamp}); !strings.Contains(x.Error, `before "start"`) {
		t.Errorf("%+v", x)
	}
	bad := c
	bad.URL = "ws://192.0.2.1"
	if x := do(client.Command{ID: 2, Do: client.DoStart, Config: &bad}); !x.Usage || !strings.Contains(x.Error, "--allow-remote") {
		t.Errorf("%+v", x)
	}
	if x := do(client.Command{ID: 3, Do: client.DoStart, Config: &c, Run: testRun}); x.Error != "" {
		t.Fatalf("%+v", x)
	}
	if x := do(client.Command{ID: 4, Do: "dance"}); !strings.Contains(x.Error, "different versions") {
		t.Errorf("%+v", x)
	}
	if x := do(client.Command{ID: 5, Do: client.DoRamp, Target: 3}); x.Settled != 3 {
		t.Errorf("%+v", x)
	}
	var t3 account.Totals
	for id := 6; t3.Up != 3; id++ {
		t3 = *do(client.Command{ID: id, Do: client.DoRecover}).Totals
	}
	go io.Copy(io.Discard, out)
	in.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		s.mu.Lock()
		n := s.present
		s.mu.Unlock()
		if n == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d clients are still connected", n)
		}
		time.Sleep(time.Millisecond)
	}
	fromAgent.Close()
}
