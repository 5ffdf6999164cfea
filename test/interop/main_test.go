// Package interop has clients that others wrote talk to the real gateway:
// libraries of several languages and a browser.
package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// program is the gateway and loader is loadgen, built for these tests.
var program, loader string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "interop")
	if err != nil {
		panic(err)
	}
	program, loader = filepath.Join(dir, "gateway"), filepath.Join(dir, "loadgen")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", dir+"/", "github.com/pushgate/pushgate/cmd/gateway", "github.com/pushgate/pushgate/cmd/loadgen")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		os.RemoveAll(dir)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}
