package preflight

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the files that are made from the table")

const (
	manual      = "../../docs/OPERATIONS.md"
	manualBegin = "<!-- knobs: written by go test ./internal/preflight -update -->\n"
	manualEnd   = "<!-- end of knobs -->\n"
)

// The committed files are made from the table; -update writes them.
func TestCommittedFiles(t *testing.T) {
	files := map[string]func(io.Writer) error{
		"../../configs/sysctl.conf": writeReferenceSysctl,
		"../../deploy/gateway.service.d/limits.conf": func(w io.Writer) error {
			return WriteSystemd(w, reference(Server))
		},
		manual: writeManualInto,
		"testdata/report.txt": func(w io.Writer) error {
			return Run(laptop().env(), Target{Connections: 1_000_000, Side: Both}).WriteText(w)
		},
		"testdata/report.json": func(w io.Writer) error {
			return Run(container().env(), Target{Connections: 110_000, SendBuffer: 16384}).WriteJSON(w)
		},
	}
	for name, write := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			var want bytes.Buffer
			if err := write(&want); err != nil {
				t.Fatal(err)
			}
			if *update {
				if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(name, want.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			got, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want.Bytes()) {
				t.Errorf("%s is out of date, run: go test ./internal/preflight -update\ngot:\n%s\nwant:\n%s", name, got, want.Bytes())
			}
		})
	}
}

// writeManualInto puts the table between its markers in the manual.
func writeManualInto(w io.Writer) error {
	text, err := os.ReadFile(manual)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(text), manualBegin)
	_, after, ok2 := strings.Cut(rest, manualEnd)
	if !ok || !ok2 {
		return io.ErrUnexpectedEOF
	}
	if _, err := io.WriteString(w, before+manualBegin); err != nil {
		return err
	}
	if err := writeManual(w); err != nil {
		return err
	}
	_, err = io.WriteString(w, manualEnd+after)
	return err
}

// The settings of the reference file, all of them switched on, are enough for its
// target, on a box that had none of them.
func TestReferenceSysctlIsEnough(t *testing.T) {
	var conf bytes.Buffer
	if err := writeReferenceSysctl(&conf); err != nil {
		t.Fatal(err)
	}
	all := regexp.MustCompile(`(?m)^#([^ \n])`).ReplaceAllString(conf.String(), "$1")
	if !strings.Contains(all, "\nnet.ipv4.tcp_tw_reuse = ") || strings.Contains(conf.String(), "\nnet.ipv4.tcp_tw_reuse = ") {
		t.Error("what only clients need is to be switched on by hand")
	}
	for _, side := range []Side{Server, Client} {
		for name, b := range map[string]box{"laptop": laptop(), "router": router()} {
			b, err := b.sysctl(all)
			if err != nil {
				t.Fatal(err)
			}
			target := reference(side)
			target.SendBuffer = 16384
			for _, f := range Run(b.env(), target).Fixes() {
				// The count of a live table is added to a file for any box.
				if f.Setting != "" && f.Name != "net.netfilter.nf_conntrack_max" {
					t.Errorf("%s, %s: %s is %s, needed %s", name, side, f.Name, f.Value, f.Needed)
				}
			}
		}
	}
}

// reference is the target of the files in the repository: a million
// connections on the server, and on a client box the source addresses that so
// many take.
func reference(side Side) Target {
	return Target{Connections: 1_000_000, Side: side, SourceAddresses: 20}
}

// writeReferenceSysctl writes configs/sysctl.conf: all that a server needs,
// then, commented out, further settings for a box of clients.
func writeReferenceSysctl(w io.Writer) error {
	var b, off bytes.Buffer
	server, client := reference(Server).withDefaults(), reference(Client).withDefaults()
	fmt.Fprintf(&b, "# Kernel settings for a box that carries %d connections, for one whose\n", server.Connections)
	fmt.Fprintf(&b, "# values are not known. For yours: gateway doctor --target N --sysctl\n")
	fmt.Fprintf(&b, "# Install as /etc/sysctl.d/90-gateway.conf and run: sudo sysctl --system\n")
	writeSettings(&b, Env{}, server, func(knob) bool { return true })
	fmt.Fprintf(&b, "\n# Only where the clients run, a load generator with %d source addresses or a\n", client.SourceAddresses)
	fmt.Fprintf(&b, "# proxy in front of the gateway: take the # off the settings there.\n")
	writeSettings(&off, Env{}, client, func(k knob) bool { return k.side == Client })
	b.WriteString(regexp.MustCompile(`(?m)^([^#\n])`).ReplaceAllString(off.String(), "#$1"))
	_, err := w.Write(b.Bytes())
	return err
}

// writeManual writes the table of docs/OPERATIONS.md, with the reference
// target's values.
func writeManual(w io.Writer) error {
	var b bytes.Buffer
	b.WriteString("| knob | side | what happens below it | how much, and from where |\n|---|---|---|---|\n")
	for _, k := range knobs() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", k.name, k.side, k.why, k.formula)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// For every target, the file made on a box turns each sysctl's FIX into PASS
// and takes nothing away from one that was enough already.
func TestSysctlFixesTheBox(t *testing.T) {
	boxes := []box{laptop(), server(), router()}
	rapid.Check(t, func(t *rapid.T) {
		target := Target{
			Connections:     rapid.IntRange(1, 5_000_000).Draw(t, "connections"),
			Side:            rapid.SampledFrom([]Side{Server, Client, Both}).Draw(t, "side"),
			SourceAddresses: rapid.IntRange(1, 200).Draw(t, "sources"),
			SendBuffer:      16384,
		}
		b := rapid.SampledFrom(boxes).Draw(t, "box")
		var conf bytes.Buffer
		if err := WriteSysctl(&conf, b.env(), target); err != nil {
			t.Fatal(err)
		}
		fixed, err := b.sysctl(conf.String())
		if err != nil {
			t.Fatal(err)
		}
		before, after := Run(b.env(), target), Run(fixed.env(), target)
		for i, f := range after.Findings {
			if before.Findings[i].Verdict == Pass && f != before.Findings[i] {
				t.Errorf("was enough, and changed:\n%+v\n%+v", before.Findings[i], f)
			}
			if f.Verdict != Fix || f.Setting == "" {
				continue
			}
			// More ports than there are is the one thing no file can give.
			if f.Name == "net.ipv4.ip_local_port_range" && strings.Contains(f.Why, "sources needed") {
				continue
			}
			t.Errorf("still to fix: %+v", f)
		}
	})
}

// A box that carries a number of connections carries any smaller one.
func TestSmallerTargetsPass(t *testing.T) {
	boxes := []box{laptop(), server(), router(), container()}
	rapid.Check(t, func(t *rapid.T) {
		target := Target{
			Connections:     rapid.IntRange(2, 3_000_000).Draw(t, "connections"),
			Side:            rapid.SampledFrom([]Side{Server, Client, Both}).Draw(t, "side"),
			SourceAddresses: rapid.IntRange(1, 64).Draw(t, "sources"),
		}
		e := rapid.SampledFrom(boxes).Draw(t, "box").env()
		larger := Run(e, target)
		target.Connections = rapid.IntRange(1, target.Connections).Draw(t, "fewer")
		for i, f := range Run(e, target).Findings {
			if f.Verdict == Fix && larger.Findings[i].Verdict == Pass {
				t.Errorf("PASS at the larger target, FIX at %d: %+v", target.Connections, f)
			}
		}
	})
}

func TestReservedWithin(t *testing.T) {
	for name, tt := range map[string]struct {
		list string
		want int64
	}{
		"nothing":           {"", 0},
		"one":               {"8080", 1},
		"range":             {"8080-8081", 2},
		"several":           {"6379,8080-8089,9000", 11}, // 6379 lies below
		"cut at both edges": {"1-8009,65000-70000", 10 + 536},
		"outside":           {"22,7999", 0},
		"garbage":           {"x,8080-y,-", 0},
	} {
		if got := reservedWithin(tt.list, 8000, 65535); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
}

// Numbers and lists are read from files of other programs.
func FuzzForeignText(f *testing.F) {
	f.Add("4:memory:/a\n0::/b", "normal 0 0 0 pubsub 1 2 3", "8080-9000,1")
	f.Add("0::/../..", "pubsub", "18446744073709551615-1")
	f.Fuzz(func(t *testing.T, cgroups, limits, ports string) {
		b := router().with(map[string]string{
			"proc/self/cgroup":                          cgroups,
			"proc/sys/net/ipv4/ip_local_reserved_ports": ports,
			"proc/meminfo":                              limits,
		})
		b.redis = map[string]string{"client-output-buffer-limit": limits, "maxclients": ports}
		for _, finding := range Run(b.env(), Target{Connections: 1000, Side: Both}).Findings {
			if strings.ContainsAny(finding.Why+finding.Fix+finding.Value, "\n") {
				t.Errorf("more than a line: %+v", finding)
			}
		}
	})
}
