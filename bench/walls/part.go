package walls

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// partVariable names, in the environment of a process of this program, the part
// that it is to run in place of everything.
const partVariable = "WALLS_PART"

// parts run in a process of their own: because they change what is the
// namespace's, or to measure a heap with nothing else in it. The part's name
// may be followed by arguments.
var parts = map[string]func(args []string, out io.Writer) error{
	"ports":      showPorts,
	"backlog":    showBacklog,
	"buffers":    showBuffers,
	"goroutines": parkGoroutines,
}

func runPart(part string, out io.Writer) error {
	words := strings.Fields(part)
	fn, ok := parts[words[0]]
	if !ok {
		return fmt.Errorf("there is no part %q", words[0])
	}
	return fn(words[1:], out)
}

// partCommand is a process that runs a part.
func partCommand(part string, out io.Writer) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", "walls")
	cmd.Env = append(os.Environ(), partVariable+"="+part)
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// inNamespace returns what shows a part in a network namespace of its own,
// which ends with the process. Who isn't root needs a user namespace for it.
func inNamespace(part string) func(io.Writer) error {
	return func(out io.Writer) error {
		cmd := partCommand(part, out)
		attr := cmd.SysProcAttr
		attr.Cloneflags = syscall.CLONE_NEWNET
		if os.Getuid() != 0 {
			attr.Cloneflags |= syscall.CLONE_NEWUSER
			attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
			attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
		}
		if err := cmd.Start(); err != nil {
			return fmt.Errorf("a network namespace of its own: %w", err)
		}
		return cmd.Wait()
	}
}
