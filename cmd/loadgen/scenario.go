package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"pushgate/internal/loadgen"
)

// scenario is a run of the library.
type scenario func(context.Context, loadgen.Config, loadgen.Options) (*loadgen.Result, error)

// execute runs a scenario, shows its progress and writes its result.
func (f *flags) execute(ctx context.Context, s scenario, args []string, out, errOut io.Writer) int {
	// Opened first: a run whose result can't be written is no use.
	report, err := openReport(f.json, out)
	if err != nil {
		return wrongUse(f.set.Name(), err, errOut)
	}
	defer report.Close()
	progress := loadgen.NewProgress(errOut, isTerminal(errOut), f.config.Connections)
	result, err := s(ctx, f.config, loadgen.Options{
		Command:  append([]string{f.set.Name()}, args...),
		Progress: progress.Show,
	})
	progress.Done()
	if err != nil {
		if usage := (*loadgen.UsageError)(nil); errors.As(err, &usage) {
			return wrongUse(f.set.Name(), err, errOut)
		}
		fmt.Fprintf(errOut, "%s: %v\n", f.set.Name(), err)
		return exitFailed
	}
	if err := write(result, report, f.json, out); err != nil {
		fmt.Fprintf(errOut, "%s: %v\n", f.set.Name(), err)
		return exitFailed
	}
	if !result.Good() {
		return exitFailed
	}
	return exitGood
}

// openReport opens the file of --json.
func openReport(name string, out io.Writer) (io.WriteCloser, error) {
	switch name {
	case "", "-":
		return stdout{out}, nil
	}
	file, err := os.Create(name)
	if err != nil {
		return nil, &loadgen.UsageError{Flag: "--json", Value: name, Want: "can't be written: " + errors.Unwrap(err).Error()}
	}
	return file, nil
}

// stdout is not ours to close.
type stdout struct{ io.Writer }

func (stdout) Close() error { return nil }

// write writes the result as JSON, as a table, or both.
func write(r *loadgen.Result, report io.Writer, name string, out io.Writer) error {
	if name != "" {
		if err := r.WriteJSON(report); err != nil {
			return err
		}
	}
	if name == "-" {
		return nil
	}
	return r.WriteTable(out)
}

// isTerminal reports whether w is a character device other than the null one,
// whose lines can be rewritten.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}
