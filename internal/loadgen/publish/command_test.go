package publish

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/plan"
)

// A command leaves no process behind.
func TestPublishCommandLeavesNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	p, err := newCommand(plan.Config{PublishCmd: "sleep 1000 & echo $! > " + file + "; cat > /dev/null", Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Publish(t.Context(), []Message{{"a", []byte("x")}}); err != nil {
		t.Fatal(err)
	}
	var pid int
	for until := time.Now().Add(time.Minute); pid == 0 && time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		text, _ := os.ReadFile(file)
		fmt.Sscan(string(text), &pid)
	}
	p.Close()
	for until := time.Now().Add(time.Minute); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || bytes.Contains(stat, []byte(") Z ")) { // or nobody has waited for it
			return
		}
	}
	syscall.Kill(pid, syscall.SIGKILL)
	t.Errorf("process %d is left", pid)
}

// Commands publish too, by lines or one by one, in order.
func TestPublishCommand(t *testing.T) {
	for name, command := range map[string]string{
		"lines":    `cat >> FILE`,
		"for each": `echo '{channel} {message}' >> FILE`,
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "out")
			p, err := newCommand(plan.Config{PublishCmd: strings.ReplaceAll(command, "FILE", file), Timeout: time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			want := ""
			for n := range 3 {
				results, err := p.Publish(t.Context(), []Message{{Channel: "a", Payload: fmt.Append(nil, n)}, {Channel: "b/c", Payload: []byte("x")}})
				if err != nil || len(results) != 2 || results[0] != Taken || results[1] != Taken {
					t.Fatalf("results %v, error %v", results, err)
				}
				want += fmt.Sprintf("a %d\nb/c x\n", n)
			}
			p.Close()
			if got, err := os.ReadFile(file); err != nil || string(got) != want {
				t.Errorf("%q, %v, want %q", got, err, want)
			}
		})
	}
}

// Publishing ends although a command reads nothing, or doesn't end.
func TestPublishCommandStuck(t *testing.T) {
	for name, test := range map[string]struct{ command, want string }{
		"lines":    {"sleep 1000", "it has not read on for 300ms"},
		"for each": {"echo {message} | head -c 5; sleep 1000", "it has not ended within 300ms; it said:\n  xxxxx"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := newCommand(plan.Config{PublishCmd: test.command, Timeout: 300 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			size := 1 << 20 // more than a pipe takes
			if strings.Contains(test.command, "{message}") {
				size = 100
			}
			results, err := p.Publish(t.Context(), []Message{{Channel: "a", Payload: bytes.Repeat([]byte("x"), size)}})
			if err == nil || !strings.Contains(err.Error(), test.want) || results[0] != Unknown {
				t.Errorf("results %v, error %v", results, err)
			}
		})
	}
}
