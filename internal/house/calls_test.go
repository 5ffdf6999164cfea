package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// doors says which files of the gateway may call the reactor's functions that read from a socket or
// write to it. A write elsewhere could go past TLS.
var doors = map[string][]string{
	"gateway/internal/conn/door.go":     {"Read", "Write", "Writev", "Add"},
	"gateway/internal/conn/reject.go":   {"Read", "Peek", "WriteLast"}, // sockets without a connection
	"gateway/internal/conn/testdoor.go": {"Peek"},
}

func TestSocketsHaveOneDoor(t *testing.T) {
	calls := 0
	eachFile(t, []string{".go"}, func(name string, text []byte) {
		if !strings.HasPrefix(name, "gateway/") || strings.HasSuffix(name, "_test.go") {
			return
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, 0)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			of := ""
			switch x := call.X.(type) {
			case *ast.Ident:
				of = x.Name
			case *ast.SelectorExpr:
				of = x.Sel.Name
			}
			method := call.Sel.Name
			if of == "reactor" && slices.Contains([]string{"Read", "Peek", "Write", "Writev", "WriteLast"}, method) || of == "ring" && method == "Add" {
				calls++
				if !slices.Contains(doors[name], method) {
					t.Errorf("%s calls %s.%s: the one door to the sockets is gateway/internal/conn/door.go", name, of, method)
				}
			}
			return true
		})
	})
	if calls < 8 {
		t.Errorf("%d calls were found", calls)
	}
}
