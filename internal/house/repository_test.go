package house

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// root is the repository, seen from this package's directory.
const root = "../.."

// module is the import path of the repository's root.
const module = "github.com/pushgate/pushgate"

// skipped directories hold no sources.
var skipped = map[string]bool{".git": true, "bin": true, "out": true, "node_modules": true}

// eachFile calls fn for every file whose name ends in one of the suffixes,
// with its path from the root.
func eachFile(t *testing.T, suffixes []string, fn func(path string, text []byte)) {
	t.Helper()
	count := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if skipped[d.Name()] {
				return filepath.SkipDir
			}
			return nil
		}
		for _, suffix := range suffixes {
			if !strings.HasSuffix(d.Name(), suffix) {
				continue
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fn(strings.TrimPrefix(filepath.ToSlash(path), root+"/"), text)
			count++
			break
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if count == 0 {
		t.Fatalf("found no file that ends in %s", strings.Join(suffixes, ", "))
	}
}

// under reports whether a package is dir or below it.
func under(pkg, dir string) bool {
	return pkg == dir || strings.HasPrefix(pkg, dir+"/")
}
