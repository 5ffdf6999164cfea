package probe

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestProgram(t *testing.T) {
	shell := func(line string) *Program {
		t.Helper()
		p, err := Start("the shell", exec.Command("/bin/sh", "-c", line))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Kill)
		return p
	}
	// Ready when it has said so; its child ends with it.
	p := shell("trap '' TERM; echo ready; sleep 1000")
	err := p.Until(t.Context(), time.Minute, "it is not ready", func(context.Context) error {
		if !strings.Contains(p.Log(), "ready") {
			return errors.New("not yet")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if s, err := Process(p.PID()); err != nil || s.RSS == 0 || Name(p.PID()) != "sh" {
		t.Errorf("%+v, %v", s, err)
	}
	if p.Stop(10 * time.Millisecond); p.Err() == nil {
		t.Error("a program that was killed has no error")
	}
	// One that ends early, and one that never is ready.
	never := func(context.Context) error { return errors.New("refused") }
	p = shell("echo broken; exit 3")
	if err := p.Until(t.Context(), time.Minute, "it is not ready", never); err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "broken") {
		t.Errorf("an early end: %v", err)
	}
	p = shell("sleep 1000")
	if err := p.Until(t.Context(), time.Millisecond, "it is not ready", never); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("never ready: %v", err)
	}
	if p.Await(t.Context(), time.Millisecond) == nil {
		t.Error("a program that runs has ended")
	}
	if _, err := Start("nothing", exec.Command("/nonexistent")); err == nil {
		t.Error("a program that is not there was started")
	}
}
