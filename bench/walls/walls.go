// Package walls runs into the limits of a plain box, one after the other, and
// shows how each is taken away. Everything stays on the loopback, in network
// namespaces of its own where a setting of the network is changed, and is
// bounded in number and time. It builds the gateway that it runs.
//
//	bench walls -page docs/WALLS.md
//
// Without -page it only prints. With it, each wall's output also replaces the
// block behind its name in the page; the text around the blocks stays.
package walls

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"text/tabwriter"
	"unsafe"

	"github.com/pushgate/pushgate/bench/chart"
	"github.com/pushgate/pushgate/bench/rig"
)

// wall is one limit.
type wall struct {
	name  string // in the page, and for -only
	title string
	// show runs into the wall and past it, and writes a table.
	show func(out io.Writer) error
}

// walls are in the order of the page.
var walls = []wall{
	{"descriptors", "Open files: 1024 by default", showDescriptors},
	{"ports", "Source ports of one address", inNamespace("ports")},
	{"backlog", "The listen queue", inNamespace("backlog")},
	{"goroutines", "A goroutine for each connection", showGoroutines},
	{"buffers", "The kernel's buffers for each connection", inNamespace("buffers")},
}

// parts run in a process of their own: because they change settings of the
// namespace, or to measure a heap with nothing else in it. The part's name may
// be followed by arguments.
var parts = map[string]func(args []string, out io.Writer) error{
	"ports":      showPorts,
	"backlog":    showBacklog,
	"buffers":    showBuffers,
	"goroutines": parkGoroutines,
}

// partVariable names, in the environment of a process of this program, the part
// that it runs in place of everything.
const partVariable = "WALLS_PART"

// Run runs the walls, or one part in this process.
func Run(_ context.Context, args []string, out io.Writer) error {
	if part := strings.Fields(os.Getenv(partVariable)); len(part) > 0 {
		return parts[part[0]](part[1:], out)
	}
	flags := rig.NewFlags("walls")
	page := flags.String("page", "", "`file` whose blocks are replaced by the output")
	only := flags.String("only", "", "comma-separated `names` of the walls to run, all by default")
	if err := flags.Parse(args); err != nil {
		return err
	}
	chosen, err := rig.Choose(*only, walls, func(w wall) string { return w.name })
	if err != nil {
		return err
	}
	for _, w := range chosen {
		fmt.Fprintf(out, "== %s: %s\n", w.name, w.title)
		var shown bytes.Buffer
		if err := w.show(io.MultiWriter(out, &shown)); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		fmt.Fprintln(out)
		if *page == "" {
			continue
		}
		content, err := os.ReadFile(*page)
		if err != nil {
			return err
		}
		replaced, err := withBlock(string(content), w.name, shown.String())
		if err != nil {
			return fmt.Errorf("%s: %w", *page, err)
		}
		if err := chart.WritePage(*page, []byte(replaced)); err != nil {
			return err
		}
	}
	return nil
}

// withBlock puts text into the page's block behind the comment that names a
// wall:
//
//	<!-- walls: NAME -->
//	```text
//	…
//	```
func withBlock(page, name, text string) (string, error) {
	const open, end = "```text\n", "```\n"
	marker := "<!-- walls: " + name + " -->\n" + open
	before, rest, ok := strings.Cut(page, marker)
	if !ok {
		return "", fmt.Errorf("there is no block for %s", name)
	}
	at := strings.Index(rest, end)
	if at < 0 || strings.Contains(text, "```") {
		return "", fmt.Errorf("the block for %s has no end", name)
	}
	return before + marker + strings.TrimRight(text, "\n") + "\n" + rest[at:], nil
}

// startGateway runs the gateway with an embedded Redis and at most files open
// files, 0 for no limit of its own.
func startGateway(l *rig.Lab, files int, args ...string) (*rig.Gateway, error) {
	cmd := l.Command("gateway", append([]string{"serve", "--redis.embedded", "127.0.0.1:0", "--log.format", "json"}, args...)...)
	if files > 0 {
		// The shell's ulimit sets both limits, so that it can't be raised again.
		cmd = exec.Command("sh", append([]string{"-c", fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, files)}, cmd.Args...)...)
	}
	return rig.StartGateway(context.Background(), cmd)
}

// partCommand is a process that runs a part.
func partCommand(part string, out io.Writer) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", "walls")
	cmd.Env = append(os.Environ(), partVariable+"="+part)
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// inNamespace shows a part in a network namespace of its own, which ends with
// the process. Any user but root needs a user namespace for it.
func inNamespace(part string) func(io.Writer) error {
	return func(out io.Writer) error {
		cmd := partCommand(part, out)
		attr := cmd.SysProcAttr
		attr.Cloneflags = syscall.CLONE_NEWNET
		if os.Getuid() != 0 {
			attr.Cloneflags |= syscall.CLONE_NEWUSER
			attr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
			attr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
		}
		if err := cmd.Start(); err != nil {
			return fmt.Errorf("a network namespace of its own: %w", err)
		}
		return cmd.Wait()
	}
}

// raiseLoopback turns on the loopback of a new namespace.
func raiseLoopback() error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	request := struct {
		name  [syscall.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}{flags: syscall.IFF_UP | syscall.IFF_RUNNING}
	copy(request.name[:], "lo")
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&request)))
	if errno != 0 {
		return fmt.Errorf("turn on the loopback: %w", errno)
	}
	return nil
}

// setSysctl sets a setting of the process' network namespace.
func setSysctl(name, value string) error {
	return os.WriteFile("/proc/sys/"+strings.ReplaceAll(name, ".", "/"), []byte(value), 0)
}

// socketOption sets an option before a socket is bound or connected; 0 leaves it
// alone.
func socketOption(level, name, value int) func(_, _ string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) (err error) {
		if value != 0 {
			c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), level, name, value) })
		}
		return err
	}
}

// table writes rows in columns.
type table struct{ *tabwriter.Writer }

func newTable(out io.Writer, columns ...any) table {
	t := table{tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)}
	t.row(columns...)
	return t
}

func (t table) row(cells ...any) {
	for i, c := range cells {
		if i > 0 {
			fmt.Fprint(t, "\t")
		}
		fmt.Fprint(t, c)
	}
	fmt.Fprintln(t)
}
