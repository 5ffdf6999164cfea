package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pushgate/pushgate/internal/loadgen"
)

// Page is the file of a run directory that is for people.
const Page = "report.html"

// The others.
const (
	resultFile  = "run.json"
	seriesFile  = "series.csv"
	latencyFile = "latency.hlog"
	noteFile    = "UNFINISHED"

	partialSuffix = ".partial"
)

// note is what a directory says of itself while the run goes on.
const note = "This run has not ended: series.csv and latency.hlog hold what was measured\n" +
	"up to now. If loadgen is gone, it was killed before it could write the rest.\n"

// place is a directory on its way. Everything goes to a directory beside it,
// which takes its name when it is complete: what has the name is whole.
type place struct{ path, partial string }

// reserve begins a directory. A path that can't be one is a
// *loadgen.UsageError: it is found out before the run.
func reserve(path string) (place, error) {
	refuse := func(want string) (place, error) {
		return place{}, &loadgen.UsageError{Flag: "--out", Value: path, Want: want}
	}
	path = filepath.Clean(path)
	entries, err := os.ReadDir(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return refuse("can't be used: " + reason(err))
	case len(entries) > 0:
		return refuse("is not empty; each run gets a directory of its own")
	}
	p := place{path, path + partialSuffix}
	if _, err := os.Lstat(p.partial); err == nil {
		return refuse(p.partial + " is in the way: another run is writing it, or was killed; remove it if not")
	}
	if err := os.MkdirAll(p.partial, 0o777); err != nil {
		return refuse("can't be made: " + reason(err))
	}
	if err := os.WriteFile(p.file(noteFile), []byte(note), 0o666); err != nil {
		p.remove()
		return refuse("can't be written: " + reason(err))
	}
	return p, nil
}

// reason leaves out the path, which the message has already.
func reason(err error) string {
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

func (p place) file(name string) string { return filepath.Join(p.partial, name) }

func (p place) remove() { os.RemoveAll(p.partial) }

// take gives the directory its name.
func (p place) take() error {
	// An empty directory of that name was allowed; os.Rename wants none.
	if err := os.Remove(p.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("run directory: %w; everything is in %s", err, p.partial)
	}
	if err := os.Remove(p.file(noteFile)); err != nil {
		return fmt.Errorf("run directory: %w", err)
	}
	if err := os.Rename(p.partial, p.path); err != nil {
		return fmt.Errorf("run directory: %w", err)
	}
	return nil
}

// Dir writes a run directory. Interval and Sample are called on the run's
// sampler goroutine, Finish and Abandon after it has ended.
type Dir struct {
	place // immutable

	series  *seriesLog
	latency *latencyLog
	failed  error // the first write that failed
}

// Create begins a run directory; its error is a *loadgen.UsageError.
func Create(path string) (*Dir, error) {
	p, err := reserve(path)
	if err != nil {
		return nil, err
	}
	d := &Dir{place: p}
	if d.series, err = newSeriesLog(d.file(seriesFile)); err == nil {
		d.latency, err = newLatencyLog(d.file(latencyFile))
	}
	if err != nil {
		d.Abandon()
		return nil, &loadgen.UsageError{Flag: "--out", Value: path, Want: "can't be written: " + reason(err)}
	}
	return d, nil
}

// keep remembers the first error; Finish returns it.
func (d *Dir) keep(err error) {
	if d.failed == nil && err != nil {
		d.failed = fmt.Errorf("run directory: %w", err)
	}
}

// Sample appends a second to the series; for loadgen.Options.Progress.
func (d *Dir) Sample(s loadgen.Sample) { d.keep(d.series.add(s)) }

// Interval appends a second's latencies; for loadgen.Options.Interval.
func (d *Dir) Interval(i loadgen.Interval) { d.keep(d.latency.add(i)) }

// Finish writes the result and the page and gives the directory its name.
func (d *Dir) Finish(r *loadgen.Result) error {
	d.keep(d.close())
	if d.failed != nil {
		return d.failed
	}
	if err := writeResult(d.file(resultFile), r); err != nil {
		return err
	}
	run, err := Load(d.partial)
	if err != nil {
		return err
	}
	if err := WritePage(d.partial, run); err != nil {
		return err
	}
	return d.take()
}

// Abandon removes what was written, for a run that did not begin.
func (d *Dir) Abandon() {
	d.close()
	d.remove()
}

func (d *Dir) close() error {
	var all []error
	if d.series != nil {
		all = append(all, d.series.close())
	}
	if d.latency != nil {
		all = append(all, d.latency.close())
	}
	return errors.Join(all...)
}

func writeResult(name string, r *loadgen.Result) error {
	f, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("run directory: %w", err)
	}
	return errors.Join(r.WriteJSON(f), f.Close())
}

// Run is a run directory that was read.
type Run struct {
	Path      string
	Result    *loadgen.Result
	Latencies Latencies
}

// Load reads a run directory. One without a log of latencies is a run all the
// same.
func Load(path string) (*Run, error) {
	text, err := os.ReadFile(filepath.Join(path, resultFile))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(path, noteFile)); err == nil {
			return nil, fmt.Errorf("%s: the run has not ended, or was killed: there is no %s", path, resultFile)
		}
		return nil, fmt.Errorf("%s: not a run directory: there is no %s", path, resultFile)
	}
	if err != nil {
		return nil, fmt.Errorf("run directory: %w", err)
	}
	wrong := func(err error) (*Run, error) {
		return nil, fmt.Errorf("%s: %w", filepath.Join(path, resultFile), err)
	}
	// Another schema may have other types: it is looked at first.
	var named struct{ Schema string }
	if err := json.Unmarshal(text, &named); err != nil {
		return wrong(err)
	}
	if named.Schema != loadgen.Schema {
		return wrong(fmt.Errorf("schema %.40q, want %q", named.Schema, loadgen.Schema))
	}
	r := new(loadgen.Result)
	if err := json.Unmarshal(text, r); err != nil {
		return wrong(err)
	}
	run := &Run{Path: path, Result: r}
	run.Latencies, err = readLatencyLog(filepath.Join(path, latencyFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return run, nil
}

// WritePage renders a run's page into a directory, whole or not at all.
func WritePage(dir string, run *Run) error {
	return writeWhole(filepath.Join(dir, Page), func(w io.Writer) error { return Render(w, run) })
}

// writeWhole writes a file whole or not at all.
func writeWhole(name string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	defer os.Remove(f.Name()) // gone already when all went well
	// CreateTemp keeps it to its owner; the other files are not.
	err = errors.Join(write(f), f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}
