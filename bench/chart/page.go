package chart

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// noFigure is how Go writes a number that is none, or a value that its format
// does not fit.
var noFigure = regexp.MustCompile(`(^|[^A-Za-z])(NaN|[+-]?Inf)($|[^A-Za-z])|%!`)

// WritePage writes a page or a drawing, unless a figure in it is none: what is
// there stays then.
func WritePage(file string, text []byte) error {
	if at := noFigure.FindIndex(text); at != nil {
		before := strings.LastIndexByte(string(text[:at[0]+1]), '\n') + 1
		line, _, _ := strings.Cut(string(text[before:]), "\n")
		return fmt.Errorf("%s: a figure is none: %s", file, line)
	}
	return os.WriteFile(file, text, 0o644)
}
