package house

import (
	"bytes"
	"go/format"
	"go/parser"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// maxLines is where a file is split; 400 is where it is looked at again.
const maxLines = 600

func TestFilesAreShort(t *testing.T) {
	eachFile(t, []string{".go", ".js", ".css"}, func(name string, text []byte) {
		if strings.HasSuffix(name, "_test.go") {
			return
		}
		if n := bytes.Count(text, []byte("\n")); n > maxLines {
			t.Errorf("%s has %d lines, split it by concern: at most %d", name, n, maxLines)
		}
	})
}

// maxBytes is more than any source, page or record of a measurement has.
const maxBytes = 1 << 20

func TestFilesAreSources(t *testing.T) {
	eachFile(t, []string{""}, func(name string, text []byte) {
		if len(text) > maxBytes || bytes.HasPrefix(text, []byte("\x7fELF")) {
			t.Errorf("%s has %d bytes: what is built goes to bin/", name, len(text))
		}
	})
}

func TestFilesAreFormatted(t *testing.T) {
	eachFile(t, []string{".go"}, func(name string, text []byte) {
		formatted, err := format.Source(text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		if !bytes.Equal(text, formatted) {
			t.Errorf("%s is not formatted, run gofmt -w %s", name, name)
		}
	})
}

// vagueNames say nothing about a file's content.
var vagueNames = []string{"util", "utils", "helper", "helpers", "misc", "common", "stuff", "types", "base"}

func TestFilesAreNamedAfterTheirConcern(t *testing.T) {
	eachFile(t, []string{".go", ".js"}, func(name string, _ []byte) {
		stem := strings.TrimSuffix(strings.TrimSuffix(path.Base(name), path.Ext(name)), "_test")
		if slices.Contains(vagueNames, stem) {
			t.Errorf("%s: name the file after its one concern", name)
		}
		if strings.ToLower(stem) != stem {
			t.Errorf("%s: file names are in lower case", name)
		}
	})
}

// unfinished is assembled, so that this file does not find itself.
var unfinished = regexp.MustCompile(`\b(` + strings.Join([]string{"TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"}, "|") + `)\b`)

func TestNothingIsLeftForLater(t *testing.T) {
	texts := []string{".go", ".js", ".css", ".html", ".md", ".yaml", ".yml", ".lua", ".sh", ".txtar", "Makefile", "Dockerfile"}
	eachFile(t, texts, func(name string, text []byte) {
		for i, line := range strings.Split(string(text), "\n") {
			if found := unfinished.FindString(line); found != "" {
				t.Errorf("%s:%d says %s: do it, or take it out", name, i+1, found)
			}
		}
	})
}

func TestPackagesHaveOneComment(t *testing.T) {
	comments := map[string][]string{} // by directory: the files with a package comment
	eachFile(t, []string{".go"}, func(name string, text []byte) {
		if strings.HasSuffix(name, "_test.go") || strings.Contains(name, "/testdata/") {
			return
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		dir := path.Dir(name)
		files := comments[dir]
		if file.Doc != nil {
			files = append(files, path.Base(name))
		}
		comments[dir] = files
	})
	for dir, files := range comments {
		switch len(files) {
		case 1:
		case 0:
			t.Errorf("%s has no package comment", dir)
		default:
			t.Errorf("%s has a package comment in each of %s: keep one", dir, strings.Join(files, ", "))
		}
	}
}
