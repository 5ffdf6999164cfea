package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pushgate/pushgate/gateway/auth"
)

// exampleLanguage says how a block of docs/PUBLISH.md is run.
type exampleLanguage struct {
	least   int      // blocks that the document has at least
	file    string   // the block is written to it
	command []string // run with the file's path behind it
	// probe succeeds if the language and its Redis library are installed; nil if every test needs
	// them.
	probe []string
	needs string // to install otherwise
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

// TestPublishingExamples runs every example of docs/PUBLISH.md twice: clients must receive its
// plain messages each time, and its durable ones once, with the id that it prints.
func TestPublishingExamples(t *testing.T) {
	t.Parallel()
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
			continue // a response, not a program
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

// subjectBlock is an example that prints the channel user.{sub} of a subject.
var subjectBlock = regexp.MustCompile("(?ms)^```([a-z]+) user\n(.*?)^```")

// TestSubjectExamples gives every such example subjects of many kinds: it must
// print the channel that the gateway grants.
func TestSubjectExamples(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("../docs/PUBLISH.md")
	if err != nil {
		t.Fatal(err)
	}
	found := subjectBlock.FindAllStringSubmatch(string(document), -1)
	if len(found) != len(exampleLanguages) {
		t.Errorf("docs/PUBLISH.md has %d of them, want one in each of %d languages", len(found), len(exampleLanguages))
	}
	for _, match := range found {
		language, text := exampleLanguages[match[1]], match[2]
		t.Run(match[1], func(t *testing.T) {
			if _, err := exec.LookPath(language.command[0]); err != nil {
				t.Skipf("not run, as this machine lacks %s", language.command[0])
			}
			dir := t.TempDir()
			file := filepath.Join(dir, language.file)
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			command := append(slices.Clone(language.command), file)
			if match[1] == "go" { // once
				command = []string{filepath.Join(dir, "example")}
				runFile(t, dir, []string{"go", "build", "-o", command[0], file})
			}
			for _, sub := range []string{"anna", "auth0|5f7c", "anna@example.com", "urn:user:42", "*", "YWJj==", "a=2Eb=", "=é=2f", "a/b {sub}\n#%$"} {
				if got := strings.TrimSuffix(runFile(t, dir, append(command[:len(command):len(command)], sub)), "\n"); got != "user."+auth.Escape(sub) {
					t.Errorf("%q: printed %q, want %q", sub, got, "user."+auth.Escape(sub))
				}
			}
		})
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
		id := lastID(t, runFile(t, dir, append(slices.Clone(language.command), file)))
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
	// Further messages would precede this one.
	in.redis.Publish("news", `"the end"`)
	receives(t, c, `"the end"`)
}

func runFile(t *testing.T, dir string, command []string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
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

// forgetBlock is an example that forgets the history of news.
var forgetBlock = regexp.MustCompile("(?ms)^```sh forget\n(.*?)^```")

// TestForgettingExamples runs each way to forget: it prints the number of messages, and none of
// them is delivered any more.
func TestForgettingExamples(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	found := forgetBlock.FindAllStringSubmatch(read(t, "../docs/PUBLISH.md"), -1)
	if len(found) != 3 {
		t.Errorf("docs/PUBLISH.md has %d of them, want 3", len(found))
	}
	dir := checkout(t, root)
	for _, match := range found {
		t.Run(match[1], func(t *testing.T) {
			in := start(t, nil).ready()
			c := in.subscribed("news")
			ids := durable(t, in.redis, "news", 0, 12)
			in.redis.Publish("news", `"plain"`)
			text := strings.NewReplacer("127.0.0.1:6379", in.redis.Addr, "127.0.0.1:8081", in.AdminAddr()).Replace(match[1])
			file := filepath.Join(dir, "forget.sh")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := runFile(t, dir, []string{"bash", "-eu", file}); !strings.Contains(got, "12") {
				t.Errorf("it says %q", got)
			}
			in.redis.Publish("news", `"after"`)
			for range 14 {
				c.expect("message") // and no gap
			}
			for since, gap := range map[string]bool{ids[0]: true, ids[11]: true, "0-0": true, "": false} {
				next := in.follow("subscribe", 20, since, "news")
				if e := next(); e.Type != "subscribed" {
					t.Fatalf("got %+v", e)
				}
				e := next()
				if gap {
					if e.Type != "gap" || e.Reason != "history" {
						t.Errorf("since %q: got %+v", since, e)
					}
					e = next()
				}
				if e.Type != "message" || string(e.Data) != `"after"` {
					t.Errorf("since %q: got %+v", since, e)
				}
			}
		})
	}
}
