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

// directions says which packages of the house each one may import, packages
// below them included. A package may always import those below itself. The
// longest matching entry counts.
var directions = map[string][]string{
	"cmd/gateway":        {"gateway", "fanout", "configs", "web", "cmd/internal", "internal/address", "internal/reactor", "internal/preflight", "internal/sink"},
	"cmd/loadgen":        {"internal/loadgen", "cmd/internal", "internal/reactor", "internal/preflight", "internal/sink"},
	"cmd/internal":       {"cmd/internal", "internal/sink"},
	"gateway":            {"gateway", "fanout", "heartbeat", "web", "internal/address", "internal/reactor", "internal/wsframe", "internal/preflight"},
	"fanout":             {"internal/address", "internal/redisurl", "internal/wsframe"},
	"heartbeat":          {},
	"configs":            {},
	"web":                {},
	"internal/reactor":   {},
	"internal/wsframe":   {},
	"internal/preflight": {},
	"internal/sink":      {},
	"internal/address":   {},
	"internal/house":     {},
	"internal/loopback":  {},
	"internal/redistest": {"internal/loopback"},
	"internal/redisurl":  {},
	"test":               {},
	"internal/chunked":   {},
	"internal/loadgen":   {"internal/loadgen", "internal/chunked", "internal/reactor", "internal/redisurl", "internal/wsframe", "internal/preflight"},
	// Benchmarks compare the parts from outside.
	"bench": {"internal/loadgen", "internal/chunked", "internal/loopback", "internal/reactor", "internal/wsframe", "internal/preflight"},
}

// fenced names the only package that may import a module, tests included.
var fenced = map[string]string{
	"golang.org/x/sys/unix":    "internal/reactor",
	"github.com/mailru/easygo": "internal/reactor",
	"github.com/knadh/koanf":   "cmd",
	"github.com/spf13":         "cmd",
	"go.yaml.in/yaml":          "cmd",
}

// goPackage is what the rules need of `go list -json`.
type goPackage struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

// modules are the directories with a go.mod.
var modules = []string{".", "bench/peers"}

// packages returns those of all modules.
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
			if !slices.ContainsFunc(directions[dir], func(may string) bool { return under(to, may) }) {
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
