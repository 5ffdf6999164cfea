package interop

import (
	"context"
	"os/exec"
	"testing"
	"time"
)

// TestPython plays with Debian's python3-websockets, on Debian's Python.
func TestPython(t *testing.T) {
	const python = "/usr/bin/python3"
	if err := exec.Command(python, "-c", "import websockets").Run(); err != nil {
		t.Skip("install the Debian package python3-websockets for this test")
	}
	t.Parallel()
	perform(t, script(python, []string{"testdata/client.py"}))
}

// TestNode plays with the npm package ws, installed for this test.
func TestNode(t *testing.T) {
	for _, name := range []string{"node", "npm"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("install the Debian packages nodejs and npm for this test: no %s", name)
		}
	}
	t.Parallel()
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	install := exec.CommandContext(ctx, "npm", "install", "--prefix", dir, "--ignore-scripts", "--no-audit", "--no-fund", "ws@8")
	if out, err := install.CombinedOutput(); err != nil {
		t.Skipf("npm can't install the package ws, is there a registry? %v\n%s", err, out)
	}
	perform(t, script("node", []string{"testdata/client.js"}, "NODE_PATH="+dir+"/node_modules"))
}
