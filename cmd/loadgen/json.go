package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pushgate/pushgate/internal/loadgen"
)

// reportFile is where --json goes. What had the name before stays until the
// report is whole, also when the run is refused or killed.
type reportFile struct {
	io.Writer
	file *os.File // nil: standard output
	name string   // what the file gets at the end; empty for a device or a pipe
}

// openReport opens the file of --json, so that one that can't be written is
// told before the run.
func openReport(name string, out io.Writer) (*reportFile, error) {
	if name == "" || name == "-" {
		return &reportFile{Writer: out}, nil
	}
	refuse := func(err error) (*reportFile, error) {
		if p := (*fs.PathError)(nil); errors.As(err, &p) {
			err = p.Err
		}
		return nil, &loadgen.UsageError{Flag: "--json", Value: name, Want: "can't be written: " + err.Error()}
	}
	if real, err := filepath.EvalSymlinks(name); err == nil {
		name = real // the link stays one
	}
	mode := fs.FileMode(0o644)
	switch info, err := os.Stat(name); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return refuse(err)
	case info.IsDir():
		return refuse(errors.New("is a directory"))
	default:
		file, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return refuse(err)
		}
		if !info.Mode().IsRegular() {
			return &reportFile{Writer: file, file: file}, nil
		}
		file.Close()
		mode = info.Mode().Perm()
	}
	file, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return refuse(err)
	}
	if err := file.Chmod(mode); err != nil {
		file.Close()
		os.Remove(file.Name())
		return refuse(err)
	}
	return &reportFile{Writer: file, file: file, name: name}, nil
}

// whole gives the report its name unless writing it has failed.
func (f *reportFile) whole(err error) error {
	if err != nil || f.file == nil {
		return err
	}
	err = f.file.Close()
	if err == nil && f.name != "" {
		err = os.Rename(f.file.Name(), f.name)
	}
	if err != nil {
		return fmt.Errorf("--json: %w", err)
	}
	f.file = nil
	return nil
}

// Close drops a report that is not whole.
func (f *reportFile) Close() error {
	if f.file == nil {
		return nil
	}
	if f.name != "" {
		os.Remove(f.file.Name())
	}
	return f.file.Close()
}
