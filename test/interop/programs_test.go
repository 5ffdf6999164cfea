package interop

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// packages are the Debian packages of the programs that the tests start.
var packages = map[string]string{
	"/usr/bin/python3": "python3",
	"chromium":         "chromium",
	"curl":             "curl",
	"haproxy":          "haproxy",
	"nc":               "netcat-openbsd",
	"nginx":            "nginx-light",
	"node":             "nodejs",
	"npm":              "npm",
	"openssl":          "openssl",
	"prometheus":       "prometheus",
	"promtool":         "prometheus",
	"redis-cli":        "redis-tools",
}

// needs returns the path of the first of the programs that a test starts, if any. The
// test is skipped unless `make interop` runs it, which sets INTEROP and installs
// them.
func needs(t testing.TB, names ...string) string {
	t.Helper()
	if os.Getenv("INTEROP") == "" {
		t.Skipf("starts %s: left to make interop", strings.Join(names, ", "))
	}
	first := ""
	for _, name := range names {
		path, err := lookPath(name)
		if err != nil {
			t.Fatalf("install the Debian package %s for this test", packages[name])
		}
		if first == "" {
			first = path
		}
	}
	return first
}

// python needs Debian's Python with its websockets, and returns its path.
func python(t testing.TB) string {
	t.Helper()
	path := needs(t, "/usr/bin/python3")
	needsFile(t, "/usr/lib/python3/dist-packages/websockets", "python3-websockets")
	return path
}

// needsFile fails a test without a file of a Debian package.
func needsFile(t testing.TB, path, pkg string) {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("install the Debian package %s for this test", pkg)
	}
}

// lookPath also finds programs that only root has in PATH.
func lookPath(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return exec.LookPath(filepath.Join("/usr/sbin", name))
	}
	return path, nil
}

// start runs a program until the test ends. Its processes form a group of
// their own, and all of them end with the test. Its standard error is logged when
// the test has failed.
func start(t testing.TB, path string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	var complaint strings.Builder
	cmd.Stderr = &complaint
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		cmd.Wait()
		if t.Failed() {
			t.Logf("%s: %s", filepath.Base(path), complaint.String())
		}
	})
	return cmd
}

// browse has Chromium open a page on this machine until the test ends. flags precede the common
// ones.
func browse(t testing.TB, url string, flags ...string) {
	t.Helper()
	start(t, needs(t, "chromium"), append(flags, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
		"--no-first-run", "--no-default-browser-check", "--log-level=3", "--no-proxy-server", "--disable-quic",
		"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
		"--user-data-dir="+t.TempDir(), "--remote-debugging-port=0", url)...)
}

// npmInstall installs packages from npm's registry for this test, and returns
// the directory for NODE_PATH.
func npmInstall(t testing.TB, packages ...string) string {
	t.Helper()
	needs(t, "node", "npm")
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	args := append([]string{"install", "--prefix", dir, "--ignore-scripts", "--no-audit", "--no-fund"}, packages...)
	if out, err := exec.CommandContext(ctx, "npm", args...).CombinedOutput(); err != nil {
		t.Fatalf("npm can't install %s, is there a registry? %v\n%s", strings.Join(packages, " "), err, out)
	}
	return filepath.Join(dir, "node_modules")
}
