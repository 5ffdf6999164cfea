package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"time"
)

// newLogger returns the program's logger and its level, which may be changed;
// the settings have been validated.
func newLogger(w io.Writer, c logSettings) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	// The four allowed names are the ones that slog knows.
	_ = level.UnmarshalText([]byte(c.Level))
	return slog.New(newHandler(w, c, level)), level
}

func newHandler(w io.Writer, c logSettings, level slog.Leveler) slog.Handler {
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Value.Kind() == slog.KindDuration { // a bare number of nanoseconds in JSON
			a.Value = slog.StringValue(a.Value.Duration().String())
		}
		return a
	}}
	if c.Format == "json" {
		return slog.NewJSONHandler(w, options)
	}
	return slog.NewTextHandler(w, options)
}

// lostNotice returns the line that the log has in place of lost ones.
func lostNotice(c logSettings) func(lost uint64) []byte {
	return func(lost uint64) []byte {
		var line bytes.Buffer
		log := slog.New(newHandler(&line, c, slog.LevelWarn))
		log.Warn("log lines were lost: standard error was full, or nobody read it", "lines", lost)
		return line.Bytes()
	}
}

// stopMargin is how much longer than the drain itself systemd is asked to wait,
// for a machine that is busy.
const stopMargin = 10 * time.Second

// notifyStopping asks systemd for the time that the end takes, which the unit's
// TimeoutStopSec would cut short.
func notifyStopping(log *slog.Logger, takes time.Duration) {
	notifySystemd(log, fmt.Sprintf("STOPPING=1\nEXTEND_TIMEOUT_USEC=%d", (takes+stopMargin).Microseconds()))
}

// notifySystemd tells a unit of Type=notify its state over the socket that
// sd_notify(3) describes; without one it does nothing.
func notifySystemd(log *slog.Logger, state string) {
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err == nil {
		_, err = c.Write([]byte(state))
		c.Close()
	}
	if err != nil {
		log.Warn("can't tell systemd", "state", state, "err", err)
	}
}
