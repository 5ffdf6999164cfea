package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/alicebob/miniredis/v2"
)

// stuckPipe returns a pipe that is full and that nobody reads.
func stuckPipe(t *testing.T) *os.File {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	fd := int(w.Fd())
	if err := syscall.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = syscall.Write(fd, []byte(strings.Repeat("x", 4096)))
	}
	if !errors.Is(err, syscall.EAGAIN) {
		t.Fatal(err)
	}
	if err := syscall.SetNonblock(fd, false); err != nil {
		t.Fatal(err)
	}
	return w
}

// stuckTerminal returns a terminal that shows nothing more, as after Ctrl-S.
func stuckTerminal(t *testing.T) *os.File {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	var unlock, number int32
	for request, value := range map[uintptr]*int32{syscall.TIOCSPTLCK: &unlock, syscall.TIOCGPTN: &number} {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, master.Fd(), request, uintptr(unsafe.Pointer(value))); errno != 0 {
			t.Fatal(errno)
		}
	}
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close(); master.Close() })
	const flow, off = 0x540a, 0 // TCXONC, TCOOFF
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, terminal.Fd(), flow, off); errno != 0 {
		t.Fatal(errno)
	}
	return terminal
}

// A run goes on and says what it has found, whatever becomes of its progress.
func TestProgressThatNobodyTakes(t *testing.T) {
	redis := miniredis.RunT(t)
	g := newGateway(redis)
	defer g.close()
	for name, open := range map[string]func(t *testing.T) *os.File{
		"a full pipe":      stuckPipe,
		"a stuck terminal": stuckTerminal,
		"a full disk": func(t *testing.T) *os.File {
			f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { f.Close() })
			return f
		},
		"a reader that has left": func(t *testing.T) *os.File {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			r.Close()
			t.Cleanup(func() { w.Close() })
			return w
		},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			// TestMain has put the program into PATH.
			run := exec.Command("loadgen", "idle", "--url", g.server.URL, "-n", "5", "--hold", "2500ms") // for samples, one a second
			run.Env = append(os.Environ(), "TERM=xterm")
			run.Stdout, run.Stderr = &out, open(t)
			if err := run.Start(); err != nil {
				t.Fatal(err)
			}
			limit := time.AfterFunc(time.Minute, func() { run.Process.Kill() })
			defer limit.Stop()
			if err := run.Wait(); err != nil || !strings.HasSuffix(out.String(), "OK\n") {
				t.Errorf("it ended with %v and %q", err, out.String())
			}
		})
	}
}
