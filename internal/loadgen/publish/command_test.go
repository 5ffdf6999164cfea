package publish

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/plan"
)

// A command leaves no process behind.
func TestPublishCommandLeavesNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	p, err := NewCommandPublisher(plan.Config{PublishCmd: "sleep 1000 & echo $! > " + file + "; cat > /dev/null", Timeout: time.Minute})
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
