package house

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	linkPattern     = regexp.MustCompile(`\]\(([^)#\s]+)(#[^)\s]*)?\)`)
	targetPattern   = regexp.MustCompile(`(?m)^([a-z][a-z-]*):`)
	variablePattern = regexp.MustCompile(`\bGATEWAY_[A-Z0-9_]*[A-Z0-9]\b`)
	flagPattern     = regexp.MustCompile(`^--([a-z][a-z0-9._-]*)`)
	programPattern  = regexp.MustCompile("(?ms)^```go[^\n]*\n(package main\n.*?)^```")
	fencePattern    = regexp.MustCompile("(?ms)^```(?:sh|console)\n(.*?)^```")
)

func TestDocumentsLinkToWhatExists(t *testing.T) {
	eachFile(t, []string{".md"}, func(name string, text []byte) {
		for _, link := range linkPattern.FindAllStringSubmatch(string(text), -1) {
			target := link[1]
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(name), target)); err != nil {
				t.Errorf("%s links to %s, which does not exist", name, target)
			}
		}
	})
}

// TestDocumentsCommandsExist reads the sh and console blocks of the documents:
// targets of make, packages of go run, and subcommands and flags of the two
// programs must be there.
func TestDocumentsCommandsExist(t *testing.T) {
	programs := buildPrograms(t)
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	targets := map[string]bool{}
	for _, match := range targetPattern.FindAllStringSubmatch(string(makefile), -1) {
		targets[match[1]] = true
	}
	eachFile(t, []string{".md"}, func(name string, text []byte) {
		for _, words := range documentCommands(string(text)) {
			switch program := filepath.Base(words[0]); program {
			case "make":
				quoted := false // MILLION_ARGS='-c 2000'
				for _, word := range words[1:] {
					if !quoted && !strings.Contains(word, "=") && !strings.HasPrefix(word, "-") && !targets[word] {
						t.Errorf("%s: the Makefile has no target %s", name, word)
					}
					quoted = quoted != (strings.Count(word, "'")%2 == 1)
				}
			case "go":
				for _, word := range words[1:] {
					if word = strings.TrimSuffix(word, "/..."); strings.HasPrefix(word, "./") {
						if _, err := os.Stat(filepath.Join(root, word)); err != nil {
							t.Errorf("%s: `%s`: %v", name, strings.Join(words, " "), err)
						}
					}
				}
			case "gateway", "loadgen":
				if complaint := programs[program].refuses(words[1:]); complaint != "" {
					t.Errorf("%s: `%s`: %s", name, strings.Join(words, " "), complaint)
				}
			}
		}
	})
}

// TestDocumentsVariablesExist looks for configuration variables wherever an
// operator may copy them from.
func TestDocumentsVariablesExist(t *testing.T) {
	help := buildPrograms(t)["gateway"].help("serve")
	eachFile(t, []string{".md", ".yaml", ".yml", ".service", ".env", "Dockerfile"}, func(name string, text []byte) {
		for _, variable := range variablePattern.FindAllString(string(text), -1) {
			key := strings.TrimPrefix(variable, "GATEWAY_")
			key = strings.ToLower(strings.ReplaceAll(key, "__", "."))
			if key != "config" && !strings.Contains(help, "--"+key+" ") {
				t.Errorf("%s: %s is no key of the gateway", name, variable)
			}
		}
	})
}

// TestDocumentsProgramsBuild builds the Go programs of the documents.
func TestDocumentsProgramsBuild(t *testing.T) {
	built := 0
	eachFile(t, []string{".md"}, func(name string, text []byte) {
		for _, block := range programPattern.FindAllSubmatch(text, -1) {
			built++
			dir := t.TempDir()
			file := filepath.Join(dir, "main.go")
			if err := os.WriteFile(file, block[1], 0o644); err != nil {
				t.Fatal(err)
			}
			command := exec.Command("go", "build", "-buildvcs=false", "-o", filepath.Join(dir, "program"), file)
			command.Dir = root
			if output, err := command.CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", name, err, output)
			}
		}
	})
	if built == 0 {
		t.Error("no document has a program")
	}
}

// documentCommands returns the words of each command in the sh and console
// blocks, without prompts, assignments before the command and comments.
// Console blocks have a prompt before each command; other lines are output.
func documentCommands(text string) [][]string {
	var commands [][]string
	for _, block := range fencePattern.FindAllStringSubmatch(text, -1) {
		isConsole := strings.HasPrefix(block[0], "```console")
		body := strings.ReplaceAll(block[1], "\\\n", " ")
		for line := range strings.SplitSeq(body, "\n") {
			line, prompted := strings.CutPrefix(strings.TrimSpace(line), "$ ")
			if isConsole && !prompted {
				continue
			}
			line, _, _ = strings.Cut(line, " #")
			line, _, _ = strings.Cut(line, " | ")
			words := strings.Fields(line)
			for len(words) > 0 && (strings.Contains(words[0], "=") || words[0] == "sudo" || words[0] == "exec") {
				words = words[1:]
			}
			if len(words) > 0 && !strings.HasPrefix(words[0], "#") {
				commands = append(commands, words)
			}
		}
	}
	return commands
}

// program is one of the house's, built for asking it for its help.
type program struct {
	path  string
	helps map[string]string // by subcommand
}

// binaries is where the programs are built, once for all tests.
var binaries string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "house")
	if err != nil {
		panic(err)
	}
	binaries = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// buildPrograms builds both programs; the second time the toolchain finds
// nothing to do.
func buildPrograms(t *testing.T) map[string]program {
	t.Helper()
	command := exec.Command("go", "build", "-buildvcs=false", "-o", binaries+"/", "./cmd/gateway", "./cmd/loadgen")
	command.Dir = root
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, output)
	}
	programs := map[string]program{}
	for _, name := range []string{"gateway", "loadgen"} {
		programs[name] = program{path: filepath.Join(binaries, name), helps: map[string]string{}}
	}
	return programs
}

// help returns the subcommand's help text, "" if there is none.
func (p program) help(subcommand string) string {
	if text, ok := p.helps[subcommand]; ok {
		return text
	}
	output, err := exec.Command(p.path, subcommand, "--help").CombinedOutput()
	if err != nil {
		output = nil
	}
	p.helps[subcommand] = string(output)
	return string(output)
}

// refuses returns why the program would not take such a command line.
func (p program) refuses(args []string) string {
	subcommand := "serve"
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		subcommand = args[0]
	}
	if subcommand == "help" {
		return ""
	}
	help := p.help(subcommand)
	if help == "" {
		return "there is no command " + subcommand
	}
	for _, word := range args {
		if word == "--" {
			break
		}
		flag := flagPattern.FindStringSubmatch(word)
		if flag != nil && flag[1] != "help" && !regexp.MustCompile(`--`+regexp.QuoteMeta(flag[1])+`\b`).MatchString(help) {
			return "there is no flag --" + flag[1]
		}
	}
	return ""
}
