package attacks

import (
	"fmt"
	"iter"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// row is a measurement of one thing that clients can have the gateway hold.
type row struct {
	what    string
	client  string // the bound of one client, as it is by default
	all     string // the bound of all clients
	reached string // how far the attack got
	memory  int    // bytes by which the process has grown
	bound   int    // bytes that are allowed; 0 where the bound is a number of things
	things  int    // where it's a number: how many there were
	each    int    // bytes that one of them may take at most
}

// resident gives the memory, and its ratio to the bound or its share for each thing.
func (r row) resident() string {
	switch {
	case r.bound > 0:
		return fmt.Sprintf("%s, %.2f times the bound", mib(r.memory), float64(r.memory)/float64(r.bound))
	case r.things > 0:
		return fmt.Sprintf("%s, %d B each", mib(r.memory), r.memory/r.things)
	}
	return mib(r.memory)
}

func mib(n int) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// table returns the rows in Markdown.
func table(rows []row) string {
	var b strings.Builder
	b.WriteString("| what | a client's bound | the bound of all | the attack | resident |\n|---|---|---|---|---|\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", r.what, r.client, r.all, r.reached, r.resident())
	}
	return b.String()
}

const page = "../../docs/SECURITY.md"

// report logs a block of figures, and writes it into the page between its marks
// where that is asked for.
func report(t testing.TB, name, text string) {
	t.Helper()
	t.Log("\n" + text)
	if !*writePage {
		return
	}
	content, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- attacks: "+name+" -->\n", "<!-- end of "+name+" -->\n"
	before, rest, ok := strings.Cut(string(content), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for %s", page, name)
	}
	if err := os.WriteFile(page, []byte(before+begin+text+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// inOrder walks through a map in the order of its keys.
func inOrder[V any](m map[string]V) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if !yield(k, m[k]) {
				return
			}
		}
	}
}
