package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/pushgate/pushgate/internal/loadgen"
)

// resultFile is where --json goes. The content that the file had stays until the
// result is whole, also when the run is refused or killed.
type resultFile struct {
	out     io.Writer // standard output
	name    string
	file    *os.File // nil: none wanted, or standard output
	created bool     // the file was not there before
}

// openResult opens the file of --json, so that one that can't be written is
// reported before the run.
func openResult(name string, out io.Writer) (*resultFile, error) {
	r := &resultFile{out: out, name: name}
	if name == "" || name == "-" {
		return r, nil
	}
	var err error
	r.file, err = os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if r.created = err == nil; errors.Is(err, fs.ErrExist) {
		r.file, err = os.OpenFile(name, os.O_WRONLY, 0)
	}
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		return nil, &loadgen.UsageError{Flag: "--json", Value: name, Want: "can't be written: " + path.Err.Error()}
	}
	return r, err
}

// write writes a result as JSON, as text, or both.
func (r *resultFile) write(asJSON, asText func(w io.Writer) error) error {
	if r.name == "-" {
		return asJSON(r.out)
	}
	if r.file != nil {
		var text bytes.Buffer
		err := asJSON(&text)
		if err == nil {
			_ = r.file.Truncate(0) // a device or a pipe has no length
			_, err = r.file.Write(text.Bytes())
		}
		if err = errors.Join(err, r.file.Close()); err != nil {
			return fmt.Errorf("--json: %w", err)
		}
		r.file = nil
	}
	return asText(r.out)
}

// abandon closes the file of a run without a result, which leaves none behind.
func (r *resultFile) abandon() {
	if r.file == nil {
		return
	}
	r.file.Close()
	if r.created {
		os.Remove(r.name)
	}
}
