// Package attacks has clients do to a real gateway what a hostile one would, and
// measures what that costs it and its good clients. make attacks runs it in full
// size and writes the figures into docs/SECURITY.md.
package attacks

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
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
	build := exec.Command("go", "build", "-buildvcs=false", "-o", program, "github.com/pushgate/pushgate/cmd/gateway")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		os.RemoveAll(dir)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}
