package gateway_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"

	"github.com/pushgate/pushgate/gateway"
)

// process is the test binary run again, in the role that TestMain takes from its environment.
type process struct {
	pid    int
	stdin  io.WriteCloser // its end ends the process
	stdout io.Reader
	log    bytes.Buffer // its standard error; read only after it has ended

	// end ends the process and returns its log, once. The test's end does it too,
	// and fails where the process did.
	end func() string
}

// startProcess starts it with variables added to the environment.
func startProcess(t testing.TB, env ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{}
	cmd := exec.Command(self, fmt.Sprint("-tls=", *gateway.TLSOfTests))
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = &p.log
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if p.stdout, err = cmd.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.pid = cmd.Process.Pid
	p.end = sync.OnceValue(func() string {
		p.stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the gateway ended with %v: %s", err, p.log.String())
		}
		return p.log.String()
	})
	t.Cleanup(func() { p.end() })
	return p
}
