package reactor

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

// The clock goes with the work, and another process has another one.
func TestProcessCPU(t *testing.T) {
	other := exec.Command("sleep", "60")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		other.Process.Kill()
		other.Wait()
	}()
	before, err := ProcessCPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	var used time.Duration
	for end := time.Now().Add(30 * time.Second); used < 20*time.Millisecond && time.Now().Before(end); {
		now, err := ProcessCPU(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		used = now - before
	}
	asleep, err := ProcessCPU(other.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if used < 20*time.Millisecond || asleep >= used {
		t.Errorf("used %v, the sleeper %v", used, asleep)
	}
	if _, err := ProcessCPU(1 << 22); err == nil {
		t.Error("a process that can't exist has a clock")
	}
}
