package main

import (
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pushgate/pushgate/internal/gatewaytest"
	"github.com/pushgate/pushgate/internal/redistest"
)

// A drain that takes longer than the unit's TimeoutStopSec is not cut short:
// systemd is told how long it takes.
func TestSystemdIsTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	told := func() string {
		t.Helper()
		socket.SetReadDeadline(time.Now().Add(gatewaytest.Patience))
		b := make([]byte, 4096)
		n, err := socket.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	for name, tc := range map[string]struct {
		flags []string
		takes time.Duration
	}{
		"by its time": {[]string{"--drain.delay", "1m", "--drain.timeout", "5m"}, 6 * time.Minute},
		"by its rate": {[]string{"--drain.rate", "1"}, 4 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("NOTIFY_SOCKET", path)
			g := startGateway(t, redistest.Start(t), tc.flags...)
			if got := told(); got != "READY=1" {
				t.Fatalf("at the start: %q", got)
			}
			if c, err := net.Dial("tcp", g.Public); err != nil {
				t.Errorf("nobody listens: %v", err)
			} else {
				c.Close()
			}
			for _, c := range connectAll(t, g.Public, 4) {
				defer c.Close()
			}
			g.Signal(syscall.SIGTERM)
			first, extend, _ := strings.Cut(told(), "\n")
			us, err := strconv.ParseInt(strings.TrimPrefix(extend, "EXTEND_TIMEOUT_USEC="), 10, 64)
			if d := time.Duration(us) * time.Microsecond; first != "STOPPING=1" || err != nil || d < tc.takes || d > tc.takes+time.Minute {
				t.Errorf("at the end: %q, %q, want %v and more", first, extend, tc.takes)
			}
		})
	}
}

// systemd finds nothing wrong with the unit.
func TestUnitIsValid(t *testing.T) {
	path, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("install the Debian package systemd for this test")
	}
	unit := readRepository(t, "deploy/gateway.service")
	// The program must be there for systemd-analyze.
	unit = strings.ReplaceAll(unit, "/usr/local/bin/gateway", "/bin/true")
	file := filepath.Join(t.TempDir(), "gateway.service")
	writeFile(t, file, unit)
	if out, err := exec.Command(path, "verify", file).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}
