package main

import (
	"bytes"
	"io"
	"log/slog"
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
