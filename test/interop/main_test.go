// Package interop has clients that others wrote talk to the real gateway:
// libraries of several languages and a browser.
package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/pushgate/pushgate/internal/gatewaytest"
)

// program is the gateway and loader is loadgen, built for these tests.
var program, loader string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "interop")
	if err != nil {
		panic(err)
	}
	program, loader = filepath.Join(dir, "gateway"), filepath.Join(dir, "loadgen")
	if err := gatewaytest.Build(dir, []string{"gateway", "loadgen"}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.RemoveAll(dir)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}
