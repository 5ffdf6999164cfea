package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pushgate/pushgate/internal/loadgen/plan"
)

// resultFile is where --json goes. What a file had before stays until the result is
// whole, also when the run is refused or killed.
type resultFile struct {
	out    io.Writer // standard output
	name   string
	mode   fs.FileMode
	device *os.File // open if the name is that of a device or a pipe
}

// openResult looks whether the file of --json can be written, so that one that can't
// is reported before the run.
func openResult(name string, out io.Writer) (*resultFile, error) {
	r := &resultFile{out: out, name: name, mode: 0o644}
	if name == "" || name == "-" {
		return r, nil
	}
	if real, err := filepath.EvalSymlinks(name); err == nil {
		r.name = real // the link stays one
	}
	info, missing := os.Stat(r.name)
	file, err := os.OpenFile(r.name, os.O_WRONLY|os.O_CREATE, r.mode)
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		return nil, &plan.UsageError{Flag: "--json", Value: name, Want: "can't be written: " + path.Err.Error()}
	}
	switch {
	case missing != nil:
		os.Remove(r.name)
	case !info.Mode().IsRegular():
		r.device = file
		return r, nil
	default:
		r.mode = info.Mode().Perm()
	}
	return r, file.Close()
}

// write writes a result as JSON, as text, or both.
func (r *resultFile) write(asJSON, asText func(w io.Writer) error) error {
	switch r.name {
	case "-":
		return asJSON(r.out)
	case "":
	default:
		var text bytes.Buffer
		err := asJSON(&text)
		if err == nil {
			err = r.store(text.Bytes())
		}
		if err != nil {
			return fmt.Errorf("--json: %w", err)
		}
	}
	return asText(r.out)
}

// store writes the file in one go: it has its old content or all of the new one.
func (r *resultFile) store(text []byte) error {
	if r.device != nil {
		_, err := r.device.Write(text)
		return errors.Join(err, r.device.Close())
	}
	file, err := os.CreateTemp(filepath.Dir(r.name), "."+filepath.Base(r.name)+".*")
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	err = errors.Join(err, file.Chmod(r.mode), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), r.name)
	}
	if err != nil {
		os.Remove(file.Name())
	}
	return err
}
