package interop

import "testing"

// TestPython plays with Debian's python3-websockets, on Debian's Python.
func TestPython(t *testing.T) {
	path := python(t)
	t.Parallel()
	perform(t, script(path, []string{"testdata/client.py"}))
}

// TestNode plays with the npm package ws, installed for this test.
func TestNode(t *testing.T) {
	modules := npmInstall(t, "ws@8")
	t.Parallel()
	perform(t, script("node", []string{"testdata/client.js"}, "NODE_PATH="+modules))
}
