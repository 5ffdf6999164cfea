package walls

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"time"

	"github.com/pushgate/pushgate/internal/probe"
)

// showGoroutines compares the cost of a connection that waits as a goroutine
// with its cost as a slot of the gateway's slab. Sockets come on top of both.
func showGoroutines(out io.Writer) error {
	t := newTable(out, "a connection is", "connections", "bytes each", "in all", "one collection")
	for _, c := range []struct {
		kind, name string
		counts     []int
	}{
		{"parked", "a parked goroutine", []int{10_000, 100_000, 1_000_000}},
		// A million of these would take more than 10 GB.
		{"buffered", "a goroutine with two buffers of 4 KiB", []int{10_000, 100_000}},
	} {
		for _, n := range c.counts {
			var said bytes.Buffer
			if err := partCommand(fmt.Sprintf("goroutines %s %d", c.kind, n), &said).Run(); err != nil {
				return err
			}
			var grown int64
			var gc float64
			if _, err := fmt.Sscan(said.String(), &grown, &gc); err != nil {
				return fmt.Errorf("%q: %w", said.String(), err)
			}
			t.row(c.name, n, grown/int64(n), fmt.Sprintf("%d MB", grown/1e6), fmt.Sprintf("%.1f ms", gc))
		}
	}
	each, gc, err := slabCost()
	if err != nil {
		return err
	}
	const n = 1_000_000
	t.row("a slot of the gateway", n, fmt.Sprintf("%.1f", each), fmt.Sprintf("%d MB", int(each*n/1e6)), fmt.Sprintf("%.1f ms", gc))
	return t.Flush()
}

// parkGoroutines prints the growth of the resident memory by n goroutines, and
// how long the collector takes with them.
func parkGoroutines(args []string, out io.Writer) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	before, err := probe.Process(os.Getpid())
	if err != nil {
		return err
	}
	parked := make(chan struct{}, n) // one from each that has begun
	leave := make(chan struct{})     // closed by this function; ends them all
	for range n {
		if args[0] == "parked" {
			go func() {
				parked <- struct{}{}
				<-leave
			}()
			continue
		}
		go func() {
			// The usual buffers of a loop on a net.Conn, used once.
			in, out := bufio.NewReaderSize(zeros{}, buffered), bufio.NewWriterSize(io.Discard, buffered)
			in.Peek(buffered)
			for range buffered - 1 {
				out.WriteByte(0)
			}
			parked <- struct{}{}
			<-leave
			runtime.KeepAlive(in)
			runtime.KeepAlive(out)
		}()
	}
	for range n {
		<-parked
	}
	begin := time.Now()
	runtime.GC()
	gc := time.Since(begin)
	after, err := probe.Process(os.Getpid())
	if err != nil {
		return err
	}
	close(leave)
	_, err = fmt.Fprintln(out, int64(after.Anon-before.Anon), float64(gc.Microseconds())/1000)
	return err
}

// buffered is the size of a buffer, bufio's own default.
const buffered = 4 << 10

// zeros is an endless reader.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

var slabLine = regexp.MustCompile(`BenchmarkSlab\S*\s.*?([\d.]+) B/entry\s+([\d.]+) gc-ms`)

// slabCost runs the gateway's own benchmark of its slab, with a million
// entries.
func slabCost() (each, gc float64, err error) {
	out, err := exec.Command("go", "test", "github.com/pushgate/pushgate/gateway", "-run", "^$", "-bench", "^BenchmarkSlab$", "-benchtime", "5x").CombinedOutput()
	if err != nil {
		return 0, 0, fmt.Errorf("go test: %w\n%s", err, out)
	}
	m := slabLine.FindSubmatch(out)
	if m == nil {
		return 0, 0, fmt.Errorf("no figures in %s", out)
	}
	_, err = fmt.Sscan(string(m[1])+" "+string(m[2]), &each, &gc)
	return each, gc, err
}
