package million

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pushgate/pushgate/internal/probe"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestCourse runs everything with a real gateway and few clients, and renders
// the page.
func TestCourse(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "gateway")
	build := exec.Command("go", "build", "-o", program, "../../cmd/gateway")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the gateway: %v\n%s", err, output)
	}
	args := []string{"-n", "300", "-gateway", program, "-docs", dir, "-interval", "2s", "-hold", "3s", "-drain", "1s"}
	for _, more := range []string{"-personal=false", "-personal", "-tls"} {
		o, err := parse(append(args, more))
		if err != nil {
			t.Fatal(err)
		}
		if err := runAndRender(t.Context(), o, false, t.Output()); err != nil {
			t.Fatal(err)
		}
	}
	results, err := keptResults(filepath.Join(dir, "million"))
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != 3 {
		t.Fatalf("%d results are kept, want one of each kind", len(results))
	}
	res := results[0]
	if res.Held.RSS <= res.Before.RSS {
		t.Errorf("300 clients took no memory: %d bytes before, %d after", res.Before.RSS, res.Held.RSS)
	}
	if res.Hold.Pings == 0 {
		t.Error("no heartbeat in an interval and a half")
	}
	page, err := os.ReadFile(filepath.Join(dir, "MILLION.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"300 connected, no message lost", "| 700 | 30 of 30 |", "|  | 300 native | 300 native, TLS |"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page does not say %q:\n%s", want, page)
		}
	}
	for _, name := range []string{"connections", "memory", "kernel", "everyone", "drain"} {
		if _, err := os.Stat(filepath.Join(dir, "million", name+".svg")); err != nil {
			t.Error(err)
		}
	}
}

func TestCheckNamesWhatWasNotKept(t *testing.T) {
	good := func() *result {
		return &result{
			Clients: 200, Leavers: 20, Connect: step{Reached: 200}, Return: step{Reached: 20},
			Messages: []step{{Goal: 200, Reached: 200}, {Goal: 2, Reached: 2}, {Goal: 2, Reached: 2}},
			Drain:    drain{step: step{Reached: 200}, Clean: true},
		}
	}
	for want, spoil := range map[string]func(*result){
		"":                                           func(*result) {},
		"clients connected: 199, want 200":           func(r *result) { r.Connect.Reached = 199 },
		"messages published: 2, want 3":              func(r *result) { r.Messages = r.Messages[:2] },
		"deliveries of message 1: 150, want 200":     func(r *result) { r.Messages[0].Reached = 150 },
		"clients that came back: 19, want 20":        func(r *result) { r.Return.Reached = 19 },
		"clients that saw bye and 1012: 1, want 200": func(r *result) { r.Drain.Reached = 1 },
		"messages delivered twice: 1, want 0":        func(r *result) { r.Counts.Doubled = 1 },
		"gaps: 2, want 0":                            func(r *result) { r.Counts.Gaps = 2 },
		"connections that broke: 3, want 0":          func(r *result) { r.Counts.Broken = 3 },
		"the gateway did not exit with 0":            func(r *result) { r.Drain.Clean = false },
	} {
		r := &course{res: good()}
		spoil(r.res)
		got := ""
		if err := r.check(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("check: %q, want %q", got, want)
		}
	}
}

func TestLagBetween(t *testing.T) {
	before := probe.Metrics{lagSeries + "_count": 100, lagSeries + "_sum": 1, lagSeries + `_bucket{le="0.001"}`: 50, lagSeries + `_bucket{le="0.1"}`: 100}
	after := probe.Metrics{lagSeries + "_count": 300, lagSeries + "_sum": 2, lagSeries + `_bucket{le="0.001"}`: 249, lagSeries + `_bucket{le="0.1"}`: 300}
	want := lag{Posts: 200, P99: 0.001}
	if got := lagBetween(before, after); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestStoppedRunKeepsItsLastWholeLine(t *testing.T) {
	name := filepath.Join(t.TempDir(), "result")
	if err := os.WriteFile(name, []byte("{\"clients\":1}\n{\"clients\":2}\n{\"clients\":"), 0o644); err != nil {
		t.Fatal(err)
	}
	res, err := readResult(name)
	if err != nil {
		t.Fatal(err)
	}
	if res.Clients != 2 {
		t.Errorf("%d clients, want those of the last whole line", res.Clients)
	}
	if err := os.WriteFile(name, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := readResult(name); err == nil {
		t.Error("an empty file is taken for a result")
	}
}

func TestThin(t *testing.T) {
	for n, want := range map[int]int{0: 0, 240: 240, 241: 121, 1200: 240} {
		if got := len(thin(make([]point, n))); got != want {
			t.Errorf("%d points are thinned to %d, want %d", n, got, want)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for want, args := range map[string][]string{
		"-n: 5 is not allowed, want 100 to 4000000":           {"-n", "5"},
		"-c: 0 is not allowed, want 1 to 4096":                {"-c", "0"},
		"-timeout: 1s is not allowed, want 1m0s to 1000h0m0s": {"-timeout", "1s"},
		`unexpected argument "more"`:                          {"more"},
	} {
		if _, err := parse(args); err == nil || err.Error() != want {
			t.Errorf("%v: %v, want %q", args, err, want)
		}
	}
	o := options{clients: 1_000_000, emulated: true}.withDefaults()
	if o.interval != 5*time.Minute || o.hold != time.Minute {
		t.Errorf("a million in the guest: interval %v, hold %v", o.interval, o.hold)
	}
}

func TestMakeCommand(t *testing.T) {
	for want, res := range map[string]result{
		"make million N=1000000 GUEST=1": {Clients: 1_000_000, Emulated: true,
			Command: "million course -emulated -gateway /bin/gateway -result /dev/result -n 1000000 -c 256"},
		"make million N=500 GUEST=1 MILLION_ARGS='-c 2000 -personal -hold 5s'": {Clients: 500, Emulated: true,
			Command: "bench million course -emulated -gateway /bin/gateway -result /dev/result -n 500 -c 2000 -personal -hold 5s"},
		"make million N=9000 MILLION_ARGS='-drain 5s'": {Clients: 9000, Command: "bin/million -n 9000 -drain 5s"},
	} {
		if got := res.MakeCommand(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// Where the run would be is told without one.
func TestWhere(t *testing.T) {
	for want, more := range map[string]string{"guest\n": "-guest", "here\n": "-guest=false"} {
		var out strings.Builder
		if err := Run(t.Context(), []string{"-where", "-n", "100", more}, &out); err != nil || out.String() != want {
			t.Errorf("%s: %q, %v", more, out.String(), err)
		}
	}
}

// The page is made of the results that are kept in the repository.
func TestKeptPage(t *testing.T) {
	docs := t.TempDir()
	kept := filepath.Join("..", "..", "docs")
	if err := os.CopyFS(filepath.Join(docs, "million"), os.DirFS(filepath.Join(kept, "million"))); err != nil {
		t.Fatal(err)
	}
	if err := Run(t.Context(), []string{"render", "-docs", docs}, t.Output()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"MILLION.md", "million/connections.svg", "million/memory.svg", "million/kernel.svg", "million/everyone.svg", "million/drain.svg"} {
		got, err := os.ReadFile(filepath.Join(docs, name))
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join(kept, name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("docs/%s is not made of the kept results (%v); it would be\n%s", name, err, got)
		}
	}
}

// A run over TLS has a part of the page, beside the same run without.
func TestPageWithTLS(t *testing.T) {
	docs := t.TempDir()
	dir := filepath.Join(docs, "million")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("..", "..", "docs", "million"))); err != nil {
		t.Fatal(err)
	}
	kept, err := keptResults(dir)
	if err != nil {
		t.Fatal(err)
	}
	res := kept[slices.IndexFunc(kept, func(r *result) bool { return !r.Personal })]
	res.TLS, res.Command = true, fmt.Sprintf("bench million -n %d -tls", res.Clients)
	plain := strings.TrimSuffix(res.Name(), ", TLS")
	if err := res.keep(docs); err != nil {
		t.Fatal(err)
	}
	if err := renderPage(docs); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(docs, "MILLION.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, part, _ := strings.Cut(string(page), "\n## With TLS\n")
	for _, want := range []string{"|  | " + plain + " | " + res.Name() + " |\n|---|---:|---:|\n", "\n" + res.MakeCommand() + "\n"} {
		if !strings.Contains(part, want) {
			t.Errorf("the part with TLS does not say %q:\n%.3000s", want, part)
		}
	}
}

// The guest names all that it lacks at once.
func TestGuestNamesWhatIsMissing(t *testing.T) {
	bin := t.TempDir()
	for _, tool := range []string{"bash", "dirname", "cat", "ldd"} {
		path, err := exec.LookPath(tool)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(bin, tool)); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(filepath.Join(bin, "bash"), filepath.Join("..", "..", guestScript), "--", "true")
	cmd.Env = []string{"PATH=" + bin}
	out, err := cmd.CombinedOutput()
	if want := "make deps-million installs them: qemu-system-x86 busybox-static cpio dpkg"; err == nil || !strings.Contains(string(out), want) {
		t.Errorf("%v: %s, want %q", err, out, want)
	}
}
