package probe

import (
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"
)

// A server of several processes is measured with all of them.
func TestFamily(t *testing.T) {
	cmd := exec.Command("/bin/sh", "-c", `/bin/sh -c 'sleep 1000 & sleep 1000 & wait'; :`)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
	}()
	var pids []int
	var sum ProcessSample
	// A shell's child is a shell too until it runs sleep.
	begun := func() bool {
		return len(pids) == 4 && sum.Processes == 4 && !sameProgram(pids[0], pids[2]) && !sameProgram(pids[0], pids[3])
	}
	for end := time.Now().Add(time.Minute); !begun(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("processes %v, %+v", pids, sum)
		}
		pids = FamilyPIDs(cmd.Process.Pid)
		var err error
		if sum, err = Family(cmd.Process.Pid); err != nil {
			t.Fatal(err)
		}
	}
	var apart ProcessSample
	for _, pid := range pids {
		one, err := Process(pid)
		if err != nil {
			t.Fatal(err)
		}
		apart.RSS += one.RSS
	}
	if sum.RSS == 0 || sum.RSS >= apart.RSS || sum.Anon == 0 || sum.Anon > sum.RSS || sum.Threads != 4 {
		t.Errorf("%+v; one by one they have %d B, with what they share", sum, apart.RSS)
	}
	// The two shells are one program, the sleeps another.
	for _, pid := range pids {
		want := cmd.Process.Pid
		if slices.Index(pids, pid) >= 2 {
			want = pid
		}
		if got := FamilyHead(pid); got != want {
			t.Errorf("the head of %d among %v is %d, want %d", pid, pids, got, want)
		}
	}
	// One process is measured as ever, and one that has ended is an error.
	if one, err := Family(pids[3]); err != nil || one.Processes != 1 || one.RSS == 0 {
		t.Errorf("%+v, %v", one, err)
	}
	syscall.Kill(pids[3], syscall.SIGKILL)
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if _, err := Family(pids[3]); err != nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("an ended process is measured")
		}
	}
}
