package main

import (
	"io"
	"log/slog"
)

// newLogger returns the program's logger and its level, which may be changed;
// the settings have been validated.
func newLogger(w io.Writer, c logSettings) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	// The four allowed names are the ones that slog knows.
	_ = level.UnmarshalText([]byte(c.Level))
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Value.Kind() == slog.KindDuration { // a bare number of nanoseconds in JSON
			a.Value = slog.StringValue(a.Value.Duration().String())
		}
		return a
	}}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options)), level
	}
	return slog.New(slog.NewTextHandler(w, options)), level
}
