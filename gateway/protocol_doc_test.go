package gateway_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/gateway/auth"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// protocolBlocks returns docs/PROTOCOL.md's blocks in a language.
func protocolBlocks(t *testing.T, language string) (blocks []string) {
	t.Helper()
	document, err := os.ReadFile("../docs/PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range exampleBlock.FindAllStringSubmatch(string(document), -1) {
		if match[1] == language {
			blocks = append(blocks, match[2])
		}
	}
	return blocks
}

// TestProtocolClients runs every client of docs/PROTOCOL.md. Those in JavaScript must also
// reconnect after a rebalance, and get the messages published meanwhile, once.
//
// A timer keeps Node running, as a page would: its EventSource waits for the next try with one that
// doesn't (undici's issue 2664).
func TestProtocolClients(t *testing.T) {
	gateway.InTheClear(t, gateway.OtherPrograms)
	t.Parallel()
	node := []string{"node", "--experimental-websocket", "--experimental-eventsource", "--import", "data:text/javascript,setInterval(Date,1e6)"}
	for language, tt := range map[string]struct {
		count   int
		command []string
		file    string
		resumes bool
	}{
		"js": {3, node, "client.mjs", true},
		"sh": {2, []string{"bash", "-eu"}, "client.sh", false},
	} {
		blocks := protocolBlocks(t, language)
		if len(blocks) != tt.count {
			t.Errorf("docs/PROTOCOL.md has %d clients in %s, want %d", len(blocks), language, tt.count)
		}
		for _, text := range blocks {
			t.Run(language, func(t *testing.T) {
				t.Parallel()
				if language == "js" {
					probe := append(node[1:len(node):len(node)], "-e", "new EventSource('http://127.0.0.1:1').close(); WebSocket.OPEN; process.exit()")
					if exec.Command(node[0], probe...).Run() != nil {
						t.Skip("not run, as this machine lacks node 20.18 or later")
					}
				}
				in := start(t, nil).ready()
				// With the channel live, further subscriptions are confirmed at once.
				in.subscribed("news")
				file := filepath.Join(t.TempDir(), tt.file)
				if err := os.WriteFile(file, []byte(strings.ReplaceAll(text, "127.0.0.1:8080", in.Addr())), 0o600); err != nil {
					t.Fatal(err)
				}
				printed := in.runClient(append(tt.command[:len(tt.command):len(tt.command)], file))
				shows := func(what string) {
					t.Helper()
					eventually(t, "the client shows "+what, func() bool { return strings.Contains(printed.String(), what) })
				}
				eventually(t, "the client is subscribed", func() bool { return in.totals().subscriptions == 2 })
				if !tt.resumes {
					in.redis.Publish("news", `{"text":"hello"}`)
					shows(`{"type":"message","channel":"news","id":"`)
					shows(`"data":{"text":"hello"}}`)
					return
				}
				in.durable("news", `"first"`)
				shows("news first\n")
				left := func() uint64 { // a waiting poll gets a response
					n := in.totals().closes
					return n[reasons.CloseRebalance] + n[reasons.CloseAnswered]
				}
				before := left()
				in.Rebalance(1, 0)
				eventually(t, "the client is sent away", func() bool { return left() >= before+2 })
				in.durable("news", `"second"`)
				shows("news second\n")
				in.durable("news", `"third"`)
				shows("news third\n")
				if got := printed.String(); got != "news first\nnews second\nnews third\n" {
					t.Errorf("the client printed\n%s", got)
				}
			})
		}
	}
}

// output collects a running program's output.
type output struct {
	// Guarded by mu
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// runClient runs a program until the test ends and returns its output.
func (in *instance) runClient(command []string) *output {
	in.t.Helper()
	printed := new(output)
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = printed, printed
	cmd.Env = append(os.Environ(), "NODE_NO_WARNINGS=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		in.t.Fatal(err)
	}
	in.t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
		if in.t.Failed() {
			in.t.Logf("%s printed\n%s", command[0], printed)
		}
	})
	return printed
}

// durable publishes a durable message.
func (in *instance) durable(channel, payload string) {
	in.t.Helper()
	if _, err := in.broker.Publish(in.t.Context(), channel, []byte(payload), fanout.PublishOptions{Durable: true}); err != nil {
		in.t.Fatal(err)
	}
}

// shape is the fields of a JSON object, in order.
func shape(t *testing.T, text []byte) (kind, fields string) {
	t.Helper()
	var object map[string]json.RawMessage
	if err := json.Unmarshal(text, &object); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	var names []string
	for name := range object {
		names = append(names, name)
	}
	slices.Sort(names)
	_ = json.Unmarshal(object["type"], &kind)
	return kind, strings.Join(names, " ")
}

// TestProtocolMessages checks the examples of docs/PROTOCOL.md: the client's are sent verbatim, and
// every message of the gateway must have the fields of one of the page's.
func TestProtocolMessages(t *testing.T) {
	t.Parallel()
	blocks := protocolBlocks(t, "json")
	if len(blocks) != 3 {
		t.Fatalf("docs/PROTOCOL.md has %d blocks of messages, want the gateway's, a poll's and the client's", len(blocks))
	}
	documented, seen := map[string]bool{}, map[string]bool{}
	for _, line := range strings.Split(strings.TrimSpace(blocks[0]), "\n") {
		kind, fields := shape(t, []byte(line))
		documented[kind+": "+fields] = true
	}
	in := start(t, func(c *gateway.Config) {
		c.Channels = []gateway.ChannelRule{{Match: []string{"news"}, Publish: true, Durable: true}}
	}).ready()
	c := in.dial("/v1/ws?channels=other")
	read := func() event {
		t.Helper()
		c.SetReadDeadline(time.Now().Add(patience))
		_, text, err := c.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		kind, fields := shape(t, text)
		if !documented[kind+": "+fields] {
			t.Errorf("docs/PROTOCOL.md has no example of a %s with the fields %s: %s", kind, fields, text)
		}
		seen[kind+": "+fields] = true
		var e event
		if err := json.Unmarshal(text, &e); err != nil {
			t.Fatal(err)
		}
		return e
	}
	until := func(kind string, ref string) {
		t.Helper()
		for {
			if e := read(); e.Type == kind && string(e.Ref) == ref {
				return
			}
		}
	}
	until("subscribed", "")
	answers := []string{"subscribed", "subscribed", "subscribed", "unsubscribed", "published", "welcome", "pong"}
	sent := strings.Split(strings.TrimSpace(blocks[2]), "\n")
	if len(sent) != len(answers) {
		t.Fatalf("docs/PROTOCOL.md has %d examples of what a client sends, want %d", len(sent), len(answers))
	}
	for i, line := range sent {
		c.write(line)
		_, ref, _ := strings.Cut(line, `"ref":`)
		until(answers[i], strings.TrimSuffix(ref, "}"))
	}
	// A position before all that is kept, a message of bytes, one of a user, a
	// message that isn't understood, one that is refused.
	c.write(`{"type":"subscribe","channel":"news","since":"~elsewhere-1"}`)
	until("gap", "")
	in.redis.Publish("other", "\xff\x00")
	until("message", "")
	in.redis.Publish("other", "\x1eU\x1e\"anna\"\x1e1")
	until("message", "")
	c.write(`{"type":"publish","channel":"other","data":1,"ref":7}`)
	until("error", "7")
	c.write(`{}`)
	until("error", "")
	in.durable("news", `{"text":"hello"}`)
	until("message", "")
	in.Rebalance(1, 0)
	until("bye", "")
	c = start(t, withTokens).ready().dial("/v1/ws?token=" + token(t, auth.Claims{Expires: time.Now().Add(time.Hour)}))
	until("welcome", "")
	for example := range documented {
		if !seen[example] {
			t.Errorf("docs/PROTOCOL.md has an example that the gateway didn't send: %s", example)
		}
	}

	_, poll := in.get("http://" + in.Addr() + "/v1/poll?channels=news&cursor=0-0")
	_, want := shape(t, []byte(blocks[1]))
	if _, got := shape(t, []byte(poll)); got != want {
		t.Errorf("a poll's answer has the fields %s, docs/PROTOCOL.md has %s", got, want)
	}
}
