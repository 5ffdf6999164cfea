package walls

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// The walls run parts in processes of the same program, which here is the test.
func TestMain(m *testing.M) {
	if os.Getenv(partVariable) != "" {
		if err := Run(context.Background(), nil, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// needNamespace skips where no network namespace can be made.
func needNamespace(t *testing.T) {
	t.Helper()
	cmd := exec.Command("/bin/true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
	}
	if err := cmd.Run(); err != nil {
		t.Skipf("this needs a network namespace of its own, as root or where users may make one: %v", err)
	}
}

// shown returns the rows of a wall's table, cells joined by a bar.
func shown(t *testing.T, name string) string {
	t.Helper()
	var out bytes.Buffer
	if err := Run(context.Background(), []string{"-only", name}, &out); err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(`  +`).ReplaceAllString(out.String(), "|")
}

func TestPorts(t *testing.T) {
	needNamespace(t)
	got := shown(t, "ports")
	for _, row := range []string{
		"1|1|port chosen by connect|100|cannot assign requested address\n",
		"1|2|port chosen by connect|200|cannot assign requested address\n",
		"1|2|port chosen by bind|100|address already in use\n",
		"5|1|port chosen by connect|500|cannot assign requested address\n",
	} {
		if !strings.Contains(got, row) {
			t.Errorf("no row %q in\n%s", row, got)
		}
	}
}

func TestBacklog(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the kernel to send lost handshakes again, seconds later: left out with -short")
	}
	needNamespace(t)
	got := shown(t, "backlog")
	for name, pattern := range map[string]string{
		"cut by the kernel": `(?m)^128\|65535\|1000\|\d{1,3}\|[1-9]\d*\|`,
		"cut by the socket": `(?m)^4096\|128\|1000\|\d{1,3}\|[1-9]\d*\|`,
		"both large enough": `(?m)^4096\|65535\|1000\|1000\|0\|`,
	} {
		if !regexp.MustCompile(pattern).MatchString(got) {
			t.Errorf("%s: no such row in\n%s", name, got)
		}
	}
}

func TestDescriptors(t *testing.T) {
	got := shown(t, "descriptors")
	for name, pattern := range map[string]string{
		// Refusals that come faster than they are taken use up the spare
		// files, too; some clients are then closed without an answer.
		"1024":    `(?m)^1024\|1500\|958\|[45]\d\d\|\d+\|958$`,
		"4096":    `(?m)^4096\|1500\|1500\|0\|0\|1500$`,
		"the log": `fix: `,
	} {
		if !regexp.MustCompile(pattern).MatchString(got) {
			t.Errorf("%s: no such row in\n%s", name, got)
		}
	}
}

func TestBlocksAreReplaced(t *testing.T) {
	const page = "# Walls\n<!-- walls: a -->\n```text\nold\n```\ntext\n<!-- walls: b -->\n```text\n```\nend\n"
	got, err := withBlock(page, "a", "new\nlines\n")
	if want := strings.Replace(page, "old\n", "new\nlines\n", 1); err != nil || got != want {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err = withBlock(got, "b", "x"); err != nil || !strings.Contains(got, "```text\nx\n```\nend") {
		t.Errorf("got %q, %v", got, err)
	}
	for _, name := range []string{"c", ""} {
		if _, err := withBlock(page, name, "x"); err == nil {
			t.Errorf("a block %q is found", name)
		}
	}
}

// Every wall has its block in the page.
func TestPageHasAllWalls(t *testing.T) {
	page, err := os.ReadFile("../../docs/WALLS.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range walls {
		if _, err := withBlock(string(page), w.name, ""); err != nil {
			t.Error(err)
		}
	}
}

func TestUnknownWall(t *testing.T) {
	if err := Run(context.Background(), []string{"-only", "ports,nothing"}, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "nothing") {
		t.Errorf("got %v", err)
	}
}
