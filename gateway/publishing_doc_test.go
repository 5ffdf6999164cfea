package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// exampleLanguage says how a block of docs/PUBLISH.md is run.
type exampleLanguage struct {
	least   int      // blocks that the document has at least
	file    string   // the block is written to it
	command []string // run with the file's path behind it
	// probe succeeds where the language and its Redis library are installed;
	// nil for what every test needs.
	probe []string
	needs string // what to install otherwise
}

var exampleLanguages = map[string]exampleLanguage{
	"sh": {least: 5, file: "example.sh", command: []string{"bash", "-eu"}},
	"go": {least: 1, file: "main.go", command: []string{"go", "run"}},
	"python": {least: 1, file: "example.py", command: []string{"python3"},
		probe: []string{"python3", "-c", "import redis"}, needs: "python3-redis"},
	"javascript": {least: 1, file: "example.js", command: []string{"node"},
		probe: []string{"node", "-e", "require('redis')"}, needs: "node and its package redis, in NODE_PATH"},
	"php": {least: 1, file: "example.php", command: []string{"php"},
		probe: []string{"php", "-r", "new Redis();"}, needs: "php-cli and php-redis"},
}

var (
	exampleBlock = regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```")
	streamID     = regexp.MustCompile(`\b\d{13}-\d+\b`)
)

// TestPublishingExamples runs every example of docs/PUBLISH.md twice: clients
// must receive what it publishes plain each time, and what it publishes durable
// once, with the id that it prints.
func TestPublishingExamples(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile(filepath.Join(root, "docs/PUBLISH.md"))
	if err != nil {
		t.Fatal(err)
	}
	dir := checkout(t, root)
	found := map[string]int{}
	for _, match := range exampleBlock.FindAllStringSubmatch(string(document), -1) {
		name, text := match[1], match[2]
		language, ok := exampleLanguages[name]
		if !ok {
			continue // an answer, not a program
		}
		found[name]++
		t.Run(name, func(t *testing.T) {
			if !language.installed(dir) {
				t.Skipf("not run, as this machine lacks %s", language.needs)
			}
			runExample(t, dir, language, text)
		})
	}
	for name, language := range exampleLanguages {
		if found[name] < language.least {
			t.Errorf("docs/PUBLISH.md has %d examples in %s, want %d", found[name], name, language.least)
		}
	}
}

// installed reports whether examples can be run in dir.
func (l exampleLanguage) installed(dir string) bool {
	if l.probe == nil {
		return true
	}
	probe := exec.Command(l.probe[0], l.probe[1:]...)
	probe.Dir = dir
	return probe.Run() == nil
}

// checkout makes a directory that looks to the examples like the repository
// after make build.
func checkout(t *testing.T, root string) string {
	t.Helper()
	dir := t.TempDir()
	build := exec.Command("go", "build", "-buildvcs=false", "-o", filepath.Join(dir, "bin", "gateway"), "./cmd/gateway")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	for _, name := range []string{"configs", "go.mod", "go.sum"} {
		if err := os.Symlink(filepath.Join(root, name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func runExample(t *testing.T, dir string, language exampleLanguage, text string) {
	in := start(t, nil).ready()
	c := in.subscribed("news")
	text = strings.NewReplacer(
		"127.0.0.1:6379", in.redis.Addr,
		"127.0.0.1:8081", in.AdminAddr(),
	).Replace(text)
	file := filepath.Join(dir, language.file)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	plain := strings.Contains(text, "hello")
	printed := ""
	for round := range 2 {
		id := lastID(t, runFile(t, dir, language.command, file))
		if plain {
			receives(t, c, `{"text":"hello"}`)
		}
		if round == 0 {
			printed = id
			if e := receives(t, c, `{"text":"kept"}`); e.ID != id {
				t.Fatalf("the client got %s, the example printed %s", e.ID, id)
			}
		}
		if id != printed {
			t.Fatalf("the second run printed %s, the first one %s", id, printed)
		}
	}
	// What else was published would have come before this.
	in.redis.Publish("news", `"the end"`)
	receives(t, c, `"the end"`)
}

func runFile(t *testing.T, dir string, command []string, file string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, command[0], append(command[1:len(command):len(command)], file)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(command, " "), err, &stdout, &stderr)
	}
	return stdout.String()
}

func lastID(t *testing.T, output string) string {
	t.Helper()
	ids := streamID.FindAllString(output, -1)
	if len(ids) == 0 {
		t.Fatalf("no id in the output: %q", output)
	}
	return ids[len(ids)-1]
}

// receives returns the next message, whose data must be the same JSON.
func receives(t *testing.T, c *client, want string) event {
	t.Helper()
	e := c.expect("message")
	var got bytes.Buffer
	if err := json.Compact(&got, e.Data); err != nil || got.String() != want {
		t.Fatalf("got %s, want %s", e.Data, want)
	}
	return e
}
