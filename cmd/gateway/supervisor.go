package main

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"
)

// supervisor is systemd where its unit has Type=notify: the socket that
// sd_notify(3) describes. Empty, there is nobody to tell.
type supervisor string

func newSupervisor() supervisor { return supervisor(os.Getenv("NOTIFY_SOCKET")) }

// stopMargin is how much longer than the drain itself systemd is asked to wait,
// for a machine that is busy.
const stopMargin = 10 * time.Second

// ready says that clients are accepted.
func (s supervisor) ready(log *slog.Logger) { s.tell(log, "READY=1") }

// stopping asks for the time that the end takes, which the unit's
// TimeoutStopSec would cut short.
func (s supervisor) stopping(log *slog.Logger, takes time.Duration) {
	s.tell(log, fmt.Sprintf("STOPPING=1\nEXTEND_TIMEOUT_USEC=%d", (takes+stopMargin).Microseconds()))
}

func (s supervisor) tell(log *slog.Logger, state string) {
	if s == "" {
		return
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: string(s), Net: "unixgram"})
	if err == nil {
		_, err = c.Write([]byte(state))
		c.Close()
	}
	if err != nil {
		log.Warn("can't tell systemd", "state", state, "err", err)
	}
}
