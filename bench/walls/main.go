// Package walls runs into the limits of a plain box, one after the other, and shows
// what takes each away. Everything stays on the loopback, in network namespaces
// of its own where a setting of the network is changed, and is bounded in number
// and time. It builds the gateway that it runs.
//
//	go run ./bench/walls -page docs/WALLS.md
//
// Without -page it only prints. With it, each wall's output also replaces the
// block behind its name in the page; the text around the blocks stays.
package walls

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// wall is one limit.
type wall struct {
	name  string // in the page, and for -only
	title string
	// show runs into the wall and past it, and writes what it sees.
	show func(out io.Writer) error
}

// walls are in the order of the page.
var walls = []wall{
	{"descriptors", "Open files: 1024 by default", showDescriptors},
	{"ports", "Source ports of one address", inNamespace("ports")},
	{"backlog", "The listen queue", inNamespace("backlog")},
	{"goroutines", "A goroutine for each connection", showGoroutines},
	{"buffers", "The kernel's buffers for each connection", inNamespace("buffers")},
}

// Run runs the walls, or one part in this process.
func Run(_ context.Context, args []string, out io.Writer) error {
	if part := os.Getenv(partVariable); part != "" {
		return runPart(part, out)
	}
	return run(args, out)
}

func run(args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("walls", flag.ContinueOnError)
	page := flags.String("page", "", "`file` whose blocks are replaced by the output")
	only := flags.String("only", "", "comma-separated `names` of the walls to run, all by default")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	chosen := walls
	if *only != "" {
		chosen = nil
		for name := range strings.SplitSeq(*only, ",") {
			i := slices.IndexFunc(walls, func(w wall) bool { return w.name == name })
			if i < 0 {
				return fmt.Errorf("there is no wall %q", name)
			}
			chosen = append(chosen, walls[i])
		}
	}
	for _, w := range chosen {
		fmt.Fprintf(stdout, "== %s: %s\n", w.name, w.title)
		var shown bytes.Buffer
		if err := w.show(io.MultiWriter(stdout, &shown)); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		fmt.Fprintln(stdout)
		if *page == "" {
			continue
		}
		if err := replaceBlock(*page, w.name, shown.String()); err != nil {
			return err
		}
	}
	return nil
}
