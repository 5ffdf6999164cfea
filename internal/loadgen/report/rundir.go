// Package report shows the results of runs of the load engine: on a terminal
// while they go on, as a directory of files afterwards, as a page for a browser,
// and side by side.
//
// A run directory holds
//
//	run.json     the whole result, schema result.Schema
//	series.csv   one line for each second
//	latency.hlog every latency of every second, in HdrHistogram's log format
//	report.html  one page with everything in it; made from the other three
//
// The directory of a climb has run.json, schema capacity.Schema, and report.html.
package report

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/capacity"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
	"github.com/pushgate/pushgate/internal/loadgen/result"
)

// The files of a run directory; Page is the one for people.
const (
	Page        = "report.html"
	resultFile  = "run.json"
	seriesFile  = "series.csv"
	latencyFile = "latency.hlog"
	noteFile    = "UNFINISHED"

	partialSuffix = ".partial"
)

// note stands in a directory while the run goes on.
const note = "This run has not ended: series.csv and latency.hlog hold what was measured\n" +
	"up to now. If loadgen is gone, it was killed before it could write the rest.\n"

// Dir is a directory on its way. Everything goes to a directory beside it,
// which takes its name when it is complete: a directory of that name is whole.
// Interval and Sample are called on the run's sampler goroutine, the others
// before or after.
type Dir struct {
	path    string // immutable
	partial string // empty when it has taken its name

	// Owned by the run's sampler; nil in the directory of a climb
	series, latency *os.File
	histograms      *hdrhistogram.HistogramLogWriter
	failed          error // the first write that failed
}

// Create begins the directory of a climb, or of a run with its series and latencies. A path
// that can't be one is a *plan.UsageError: it is found out before the run.
func Create(path string, series bool) (*Dir, error) {
	refuse := func(want string) (*Dir, error) {
		return nil, &plan.UsageError{Flag: "--out", Value: path, Want: want}
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
	d := &Dir{path: path, partial: path + partialSuffix}
	if _, err := os.Lstat(d.partial); err == nil {
		return refuse(d.partial + " is in the way: another run is writing it, or was killed; remove it if not")
	}
	if err := os.MkdirAll(d.partial, 0o777); err != nil {
		return refuse("can't be made: " + reason(err))
	}
	err = os.WriteFile(d.file(noteFile), []byte(note), 0o666)
	if err == nil && series {
		err = d.begin()
	}
	if err != nil {
		d.Abandon()
		return refuse("can't be written: " + reason(err))
	}
	return d, nil
}

// begin writes the heads of the files that grow during the run.
func (d *Dir) begin() (err error) {
	if d.series, err = os.Create(d.file(seriesFile)); err != nil {
		return err
	}
	if d.latency, err = os.Create(d.file(latencyFile)); err != nil {
		return err
	}
	d.histograms = hdrhistogram.NewHistogramLogWriter(d.latency)
	return errors.Join(
		d.appendSeries(seriesHead()),
		d.histograms.OutputLogFormatVersion(),
		d.histograms.OutputComment("[Latencies in ns; the maximum of each line in ms]"),
		d.histograms.OutputStartTime(time.Now().UnixMilli()),
		d.histograms.OutputLegend())
}

func (d *Dir) appendSeries(fields []string) error {
	w := csv.NewWriter(d.series)
	w.Write(fields)
	w.Flush()
	return w.Error()
}

// reason leaves out the path, which the message has already.
func reason(err error) string {
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

func (d *Dir) file(name string) string { return filepath.Join(d.partial, name) }

// Sample appends a second to the series; for loadgen.Options.Progress.
func (d *Dir) Sample(s result.Sample) { d.keep(d.appendSeries(seriesLine(&s))) }

// Interval appends a second's latencies, a line each with its name as the tag;
// for loadgen.Options.Interval.
func (d *Dir) Interval(i result.Interval) {
	for k, h := range i.Latencies {
		if h.TotalCount() == 0 {
			continue
		}
		h.SetTag(account.LatencyNames[k])
		h.SetStartTimeMs(i.Start.UnixMilli())
		h.SetEndTimeMs(i.End.UnixMilli())
		d.keep(d.histograms.OutputIntervalHistogram(h))
	}
}

// keep remembers the first error; Finish returns it.
func (d *Dir) keep(err error) {
	if d.failed == nil && err != nil {
		d.failed = fmt.Errorf("run directory: %w", err)
	}
}

// Finish writes the result and the page and gives the directory its name.
func (d *Dir) Finish(writeJSON func(io.Writer) error) error {
	d.keep(d.close())
	if d.failed != nil {
		return d.failed
	}
	if err := writeWhole(d.file(resultFile), writeJSON); err != nil {
		return err
	}
	if err := WritePage(d.partial); err != nil {
		return err
	}
	partial := d.partial
	d.partial = "" // complete: Abandon leaves it, whatever keeps it from its name
	// An empty directory of that name was allowed; os.Rename wants none.
	if err := os.Remove(d.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("run directory: %w; everything is in %s", err, partial)
	}
	if err := errors.Join(os.Remove(filepath.Join(partial, noteFile)), os.Rename(partial, d.path)); err != nil {
		return fmt.Errorf("run directory: %w", err)
	}
	return nil
}

// Abandon removes a directory that was not finished; after Finish it does
// nothing.
func (d *Dir) Abandon() {
	d.close()
	os.RemoveAll(d.partial)
}

func (d *Dir) close() error {
	var all []error
	for _, f := range []*os.File{d.series, d.latency} {
		if f != nil {
			all = append(all, f.Close())
		}
	}
	return errors.Join(all...)
}

// Latencies are a run's histograms by their names, in ns.
type Latencies map[string]*hdrhistogram.Histogram

// readLatencies merges the intervals of each name.
func readLatencies(name string) (Latencies, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all := make(Latencies)
	log := hdrhistogram.NewHistogramLogReader(f)
	for {
		h, err := log.NextIntervalHistogram()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if h == nil {
			return all, nil
		}
		sum := all[h.Tag()]
		if sum == nil {
			sum = account.NewHistogram()
			all[h.Tag()] = sum
		}
		sum.Merge(h)
	}
}

// Run is a run directory that was read.
type Run struct {
	Path      string
	Result    *result.Result
	Latencies Latencies
}

// Load reads the directory of a run. One without a log of latencies is a run
// all the same.
func Load(path string) (*Run, error) {
	text, schema, err := readResult(path)
	if err != nil {
		return nil, err
	}
	if schema != result.Schema {
		return nil, fmt.Errorf("%s: schema %.40q, want %q", filepath.Join(path, resultFile), schema, result.Schema)
	}
	run := &Run{Path: path, Result: new(result.Result)}
	if err := json.Unmarshal(text, run.Result); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(path, resultFile), err)
	}
	run.Latencies, err = readLatencies(filepath.Join(path, latencyFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return run, nil
}

// readResult returns run.json and its schema: another schema may have other
// types, so that it is looked at first.
func readResult(path string) (text []byte, schema string, err error) {
	text, err = os.ReadFile(filepath.Join(path, resultFile))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(path, noteFile)); err == nil {
			return nil, "", fmt.Errorf("%s: the run has not ended, or was killed: there is no %s", path, resultFile)
		}
		return nil, "", fmt.Errorf("%s: not a run directory: there is no %s", path, resultFile)
	}
	if err != nil {
		return nil, "", fmt.Errorf("run directory: %w", err)
	}
	var named struct{ Schema string }
	if err := json.Unmarshal(text, &named); err != nil {
		return nil, "", fmt.Errorf("%s: %w", filepath.Join(path, resultFile), err)
	}
	return text, named.Schema, nil
}

// WritePage renders the page of a directory, of a run or of a climb, from its
// other files: whole or not at all.
func WritePage(dir string) error {
	text, schema, err := readResult(dir)
	if err != nil {
		return err
	}
	var render func(io.Writer) error
	if schema == capacity.Schema {
		o := new(capacity.Outcome)
		if err := json.Unmarshal(text, o); err != nil {
			return fmt.Errorf("%s: %w", filepath.Join(dir, resultFile), err)
		}
		render = func(w io.Writer) error { return RenderCapacity(w, o) }
	} else {
		run, err := Load(dir)
		if err != nil {
			return err
		}
		render = func(w io.Writer) error { return Render(w, run) }
	}
	return writeWhole(filepath.Join(dir, Page), render)
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
