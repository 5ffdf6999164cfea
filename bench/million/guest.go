package million

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/pushgate/pushgate/bench/rig"
	"github.com/pushgate/pushgate/internal/probe"
)

// guestScript boots the guest; it is found from the repository's root.
const guestScript = "bench/guest/guest.sh"

// Memory that the guest is given for both ends of a connection, and for
// itself and two processes. Measured are 9 KB a connection.
const (
	guestBytesEach  = 14 << 10
	guestBytesLeast = 9 << 10
	guestBytesBase  = 1 << 30
)

// runInGuest runs the course in the emulated Linux, with this program, the
// gateway and this machine's redis-server in its initramfs.
func runInGuest(ctx context.Context, o options, out io.Writer) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	redisServer, err := rig.RedisProgram()
	if err != nil {
		return err
	}
	// Emulation helps against limits, not against a lack of memory.
	fields, err := probe.Kilobytes("/proc/meminfo")
	if err != nil {
		return err
	}
	if have, need := int64(fields["MemAvailable"]), guestBytesBase+guestBytesLeast*int64(o.clients); have < need {
		return fmt.Errorf("this box has %d MiB of memory left, the guest needs %d MiB", have>>20, need>>20)
	}
	memory := fmt.Sprintf("%dM", (guestBytesBase+guestBytesEach*int64(o.clients))>>20)
	course := []string{filepath.Base(self), "million", "course", "-emulated", "-gateway", "/bin/gateway", "-result", "/dev/result",
		"-n", fmt.Sprint(o.clients), "-c", fmt.Sprint(o.inFlight)}
	if o.personal {
		course = append(course, "-personal")
	}
	if o.tls {
		course = append(course, "-tls")
	}
	for name, d := range map[string]time.Duration{"-interval": o.interval, "-hold": o.hold, "-drain": o.drain} {
		if d != 0 {
			course = append(course, name, d.String())
		}
	}
	cmd := exec.CommandContext(ctx, guestScript, "--mem", memory, "--smp", "2",
		"--timeout", fmt.Sprint(int(o.limit.Seconds())), "--bin", self, "--bin", o.gateway, "--bin", redisServer, "--out", o.result,
		"--", strings.Join(course, " "))
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it ends the guest
	cmd.WaitDelay = 10 * time.Second
	err = cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == 124 {
		return fmt.Errorf("the guest was stopped after %v", o.limit)
	}
	if err != nil {
		return fmt.Errorf("guest: %w", err)
	}
	return nil
}
