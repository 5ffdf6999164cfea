package gateway_test

import (
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// reasonsFile has the words for ends, refusals and drops.
const reasonsFile = "internal/reasons/reasons.go"

// constants returns the texts of the string constants in a file whose names,
// or types, match.
func constants(t *testing.T, file, match string) (texts []string) {
	t.Helper()
	tree, err := parser.ParseFile(gotoken.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	wanted := regexp.MustCompile(match)
	ast.Inspect(tree, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		kind, _ := spec.Type.(*ast.Ident)
		literal, ok := spec.Values[0].(*ast.BasicLit)
		if ok && literal.Kind == gotoken.STRING && (wanted.MatchString(spec.Names[0].Name) || kind != nil && wanted.MatchString(kind.Name)) {
			text, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			texts = append(texts, text)
		}
		return true
	})
	return texts
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestDocumentsHaveEveryWord holds the documents against the words that a client
// or an operator may meet: error codes, reasons, metrics.
func TestDocumentsHaveEveryWord(t *testing.T) {
	operations, protocol := read(t, "../docs/OPERATIONS.md"), read(t, "../docs/PROTOCOL.md")
	missing := func(page, name string, words []string, least int) {
		t.Helper()
		if len(words) < least {
			t.Fatalf("found %d words for %s, want %d or more", len(words), name, least)
		}
		for _, word := range words {
			if !strings.Contains(page, "`"+word+"`") {
				t.Errorf("%s has no `%s`", name, word)
			}
		}
	}

	var codes []string
	files := []string{"http1/errors.go"}
	for _, pattern := range []string{"*.go", "internal/*/*.go", "internal/*/*/*.go"} {
		found, _ := filepath.Glob(pattern)
		files = append(files, found...)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		codes = append(codes, constants(t, file, `^[cC]ode[A-Z]`)...)
		for _, m := range regexp.MustCompile(`Code: +"(\w+)"`).FindAllStringSubmatch(read(t, file), -1) {
			codes = append(codes, m[1])
		}
	}
	missing(protocol, "docs/PROTOCOL.md", codes, 30)

	reasons := constants(t, reasonsFile, `^(Close|Reject|Drop|TLS)$`)
	reasons = append(reasons, constants(t, "auth/reason.go", `^Reason$`)...)
	missing(operations+protocol, "docs/OPERATIONS.md", reasons, 50)

	var metrics []string
	for _, m := range regexp.MustCompile(`desc\("(\w+)", "[^"]+"((?:, "\w+")*)\)`).FindAllStringSubmatch(read(t, "metrics.go"), -1) {
		name := "gateway_" + m[1]
		metrics = append(metrics, name)
		if labels := strings.NewReplacer(`"`, "", " ", "").Replace(strings.TrimPrefix(m[2], ", ")); labels != "" {
			name += "{" + labels + "}"
		}
		missing(operations, "docs/OPERATIONS.md", []string{name}, 1)
	}
	if len(metrics) < 25 {
		t.Errorf("found %d metrics", len(metrics))
	}

	pages, _ := filepath.Glob("../docs/*.md")
	for _, page := range append(pages, "../README.md", "../deploy/prometheus-rules.yaml", "../configs/gateway.yaml") {
		for _, name := range regexp.MustCompile(`\bgateway_[a-z_]+\b`).FindAllString(read(t, page), -1) {
			name = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_sum"), "_count")
			if !slices.Contains(metrics, name) {
				t.Errorf("%s names %s, which is no metric", page, name)
			}
		}
	}
}
