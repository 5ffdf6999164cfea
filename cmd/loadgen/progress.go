package main

import (
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/pushgate/pushgate/cmd/internal/cli"
	"github.com/pushgate/pushgate/internal/loadgen/report"
	"github.com/pushgate/pushgate/internal/loadgen/result"
)

// progress shows a run on standard error: a panel on a terminal, otherwise lines.
func (f *runFlags) progress(c *cobra.Command) (show func(result.Sample), done func()) {
	stderr := cli.Stderr(c)
	var width func() int
	if drawable(stderr) {
		width = func() int { return columns(stderr) }
	}
	p := report.NewProgress(stderr, c.Name(), f.config, coloured(), width)
	return p.Show, p.Done
}

// terminal returns the terminal that a writer writes to, or nil.
func terminal(w io.Writer) *os.File {
	if s, ok := w.(interface{ Unwrap() io.Writer }); ok {
		w = s.Unwrap()
	}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return f
	}
	return nil
}

// drawable reports whether w is a terminal on which lines can be drawn anew.
func drawable(w io.Writer) bool {
	return terminal(w) != nil && os.Getenv("TERM") != "dumb"
}

// coloured reports whether colours are wanted; see no-color.org.
func coloured() bool { return os.Getenv("NO_COLOR") == "" }

// columns returns the width of a terminal, 80 where it is not known.
func columns(w io.Writer) int {
	if f := terminal(w); f != nil {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return width
		}
	}
	return 80
}
