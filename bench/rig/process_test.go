package rig

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCPUClock(t *testing.T) {
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	p := &Process{Name: "the test", cmd: &exec.Cmd{Process: self}}
	before, err := p.CPU()
	if err != nil {
		t.Fatal(err)
	}
	// The clock moves with the work, on threads that end as well.
	for end := time.Now().Add(10 * time.Second); ; {
		after, err := p.CPU()
		if err != nil {
			t.Fatal(err)
		}
		if after-before >= 100*time.Millisecond {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("busy for 10 s, of which the clock knows %v", after-before)
		}
	}
	if err := p.CheckCPU(); err != nil {
		t.Error(err)
	}
	if rss, err := p.RSS(); err != nil || rss < 1<<20 {
		t.Errorf("resident %d bytes, %v", rss, err)
	}
}
