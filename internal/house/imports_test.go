package house

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tools are the gateway's rooms that each of its layers may use.
var tools = []string{
	"gateway/internal/histogram", "gateway/internal/limit", "gateway/internal/position", "gateway/internal/publish",
	"gateway/internal/queue", "gateway/internal/reasons", "gateway/internal/rules", "gateway/internal/slab",
}

// protocols are what a protocol of the gateway's may use: all layers below, but not its siblings.
var protocols = append([]string{
	"fanout", "gateway/auth", "gateway/http1", "gateway/jsontext", "internal/wsframe",
	"gateway/internal/conn", "gateway/internal/httpconn", "gateway/internal/client", "=gateway/internal/protocol",
}, tools...)

// directions says which packages of the house each one may import, packages
// below them included, unless it is written with an equals sign. A package may
// always import those below itself. The longest matching entry counts.
var directions = map[string][]string{
	"cmd/gateway":          {"gateway", "fanout", "configs", "web", "cmd/internal", "internal/address", "internal/reactor", "internal/preflight", "internal/sink"},
	"cmd/loadgen":          {"internal/loadgen", "cmd/internal", "internal/reactor", "internal/preflight", "internal/sink", "internal/units"},
	"cmd/internal":         {"cmd/internal", "internal/sink"},
	"gateway":              {"gateway", "fanout", "heartbeat", "web", "internal/address", "internal/configerror", "internal/reactor", "internal/tlsrecord", "internal/wsframe", "internal/preflight"},
	"heartbeat":            {},
	"configs":              {},
	"web":                  {},
	"internal/address":     {},
	"internal/chunked":     {},
	"internal/configerror": {},
	"internal/gatewaytest": {"internal/loopback", "internal/redistest"},
	"internal/house":       {},
	"internal/loopback":    {},
	"internal/preflight":   {"internal/units"},
	"internal/probe":       {"internal/reactor"},
	"internal/reactor":     {},
	"internal/redistest":   {"configs", "internal/loopback", "internal/testcert"},
	"internal/redisurl":    {},
	"internal/sink":        {},
	"internal/testcert":    {},
	"internal/tlsclient":   {"internal/tlsrecord"},
	"internal/tlsrecord":   {},
	"internal/units":       {},
	"internal/wsframe":     {},
	"test":                 {},

	// The gateway's rooms, from the ground up.
	"gateway/certs":              {"internal/address", "internal/configerror", "internal/tlsrecord"},
	"gateway/internal/histogram": {},
	"gateway/internal/slab":      {},
	"gateway/internal/limit":     {"gateway/internal/slab"},
	"gateway/internal/position":  {"fanout/message"},
	"gateway/internal/queue":     {"fanout/message", "gateway/internal/slab"},
	"gateway/internal/reasons":   {"gateway/http1"},
	"gateway/internal/rules":     {"fanout", "gateway/auth"},
	"gateway/internal/publish":   {"fanout", "gateway/http1", "gateway/internal/reasons", "gateway/internal/rules"},

	// Its layers, each on the one before. Only the first knows descriptors.
	"gateway/internal/conn":               append([]string{"fanout/message", "gateway/proxy", "heartbeat", "internal/reactor", "internal/tlsrecord"}, tools...),
	"gateway/internal/httpconn":           append([]string{"gateway/auth", "gateway/http1", "gateway/internal/conn", "gateway/proxy"}, tools...),
	"gateway/internal/client":             append([]string{"fanout", "gateway/auth", "gateway/http1", "gateway/internal/conn", "gateway/internal/httpconn", "internal/wsframe"}, tools...),
	"gateway/internal/protocol":           append([]string{"fanout/message", "gateway/http1", "gateway/jsontext", "gateway/internal/httpconn", "gateway/internal/client"}, tools...),
	"gateway/internal/protocol/websocket": protocols,
	"gateway/internal/protocol/native":    append([]string{"gateway/internal/protocol/websocket"}, protocols...),
	"gateway/internal/protocol/echo":      append([]string{"gateway/internal/protocol/websocket"}, protocols...),
	"gateway/internal/protocol/sse":       protocols,
	"gateway/internal/protocol/longpoll":  protocols,

	"fanout":                   {"configs", "internal/address", "internal/configerror"},
	"fanout/index":             {"fanout/message", "fanout/internal/memory"},
	"fanout/message":           {"fanout/internal/memory", "internal/wsframe"},
	"fanout/internal":          {},
	"fanout/internal/upstream": {"internal/redisurl"},

	// The load engine's rooms, from the ground up.
	"internal/loadgen":         {"internal/loadgen", "internal/probe", "internal/units", "internal/preflight"},
	"internal/loadgen/account": {},
	"internal/loadgen/plan":    {"internal/loadgen/account", "internal/preflight", "internal/reactor", "internal/units"},
	"internal/loadgen/publish": {"configs", "internal/loadgen/account", "internal/loadgen/plan", "internal/probe", "internal/redisurl"},
	"internal/loadgen/result":  {"internal/loadgen/account", "internal/loadgen/plan", "internal/probe", "internal/preflight", "internal/units"},
	"internal/loadgen/client":  {"internal/loadgen/account", "internal/loadgen/plan", "internal/chunked", "internal/reactor", "internal/tlsclient", "internal/tlsrecord", "internal/wsframe"},
	"internal/loadgen/agent":   {"internal/loadgen/account", "internal/loadgen/client", "internal/loadgen/plan", "internal/loadgen/result", "internal/probe"},

	// Benchmarks compare the parts from outside. The bare loop is the yardstick:
	// no change elsewhere may move it.
	"bench":         {},
	"bench/bare":    {},
	"bench/page":    {},
	"bench/client":  {"internal/chunked", "internal/reactor", "internal/tlsclient", "internal/wsframe"},
	"bench/rig":     {"internal/loopback", "internal/probe", "internal/reactor"},
	"bench/catchup": {"bench/client", "bench/rig"},
	"bench/ratios":  {"bench/client", "bench/rig", "internal/loopback"},
	"bench/million": {"bench/client", "bench/page", "bench/rig", "internal/loopback", "internal/preflight", "internal/probe", "internal/reactor"},
	"bench/peers":   {"bench/client", "bench/page", "bench/rig", "internal/loopback", "internal/probe"},
}

// fenced names the only package that may import a module, tests included.
var fenced = map[string]string{
	"golang.org/x/sys/unix":    "internal/reactor",
	"github.com/mailru/easygo": "internal/reactor",
	"github.com/knadh/koanf":   "cmd",
	"github.com/spf13":         "cmd",
	"go.yaml.in/yaml":          "cmd",
}

// goPackage is the part of `go list -json` that the rules need.
type goPackage struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

// modules are the directories with a go.mod.
var modules = []string{".", "bench/peers"}

// packages returns the packages of all modules.
func packages(t *testing.T) []goPackage {
	t.Helper()
	var all []goPackage
	for _, dir := range modules {
		all = append(all, packagesOf(t, dir)...)
	}
	return all
}

func packagesOf(t *testing.T, dir string) []goPackage {
	t.Helper()
	command := exec.Command("go", "list", "-e", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	command.Dir = filepath.Join(root, dir)
	var stderr strings.Builder
	command.Stderr = &stderr
	output, err := command.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var all []goPackage
	for decoder := json.NewDecoder(strings.NewReader(string(output))); ; {
		var p goPackage
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// short returns an import path from the root of the repository, and whether
// it is in it.
func short(path string) (string, bool) {
	return strings.CutPrefix(path, module+"/")
}

// ruleFor returns the longest entry of directions that holds for a package.
func ruleFor(pkg string) (dir string, ok bool) {
	for candidate := range directions {
		if under(pkg, candidate) && len(candidate) > len(dir) {
			dir = candidate
		}
	}
	return dir, dir != ""
}

func TestImportsPointOneWay(t *testing.T) {
	for _, p := range packages(t) {
		pkg, ok := short(p.ImportPath)
		if !ok {
			t.Errorf("%s: the root holds no package", p.ImportPath)
			continue
		}
		dir, ok := ruleFor(pkg)
		if !ok {
			t.Errorf("%s: say in internal/house/imports_test.go what it may import", pkg)
			continue
		}
		for _, imported := range p.Imports {
			to, inside := short(imported)
			if !inside || under(to, dir) {
				continue
			}
			if !slices.ContainsFunc(directions[dir], func(may string) bool { return "="+to == may || under(to, may) }) {
				t.Errorf("%s imports %s, but may import only: %s",
					pkg, to, strings.Join(append(slices.Clone(directions[dir]), "nothing else of the house"), ", "))
			}
		}
	}
}

func TestFencedModules(t *testing.T) {
	for _, p := range packages(t) {
		pkg, _ := short(p.ImportPath)
		for _, imported := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			for fence, owner := range fenced {
				if strings.HasPrefix(imported, fence) && !under(pkg, owner) {
					t.Errorf("%s imports %s, which only %s may", pkg, imported, owner)
				}
			}
		}
	}
}
