// Package attacks runs hostile clients against a real gateway, and measures their cost to it
// and its good clients. make attacks runs it in full size and writes the figures into
// docs/SECURITY.md.
package attacks

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pushgate/pushgate/internal/gatewaytest"
)

var (
	long      = flag.Bool("attacks.long", false, "attack in full size, at the default bounds")
	writePage = flag.Bool("attacks.write", false, "write the figures into docs/SECURITY.md")
	attackFor = flag.Duration("attacks.during", 30*time.Second, "how long hostile clients of every kind attack in full size")
	only      = flag.String("attacks.kinds", "", "kinds of hostile clients that take part, as a regular expression; all by default")
	profile   = flag.String("attacks.profile", "", "write a CPU profile of the gateway under attack to this file")
)

// program is the gateway, built for these tests.
var program string

func TestMain(m *testing.M) {
	if text := os.Getenv(hostileEnv); text != "" {
		os.Exit(beHostile(text))
	}
	dir, err := os.MkdirTemp("", "attacks")
	if err != nil {
		panic(err)
	}
	program = filepath.Join(dir, "gateway")
	if err := gatewaytest.Build(dir, []string{"gateway"}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.RemoveAll(dir)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}
