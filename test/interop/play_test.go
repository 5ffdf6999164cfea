package interop

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

const channel = "interop"

// report is one client's view of the play, which is the same for all:
//
//  1. It connects and subscribes, says "subscribed", and gets the messages.
//  2. It pings the gateway, then closes with 4321.
//  3. It connects again and sends a binary message, which the gateway takes
//     from nobody.
//  4. It connects a third time, subscribes, says "waiting", answers the
//     gateway's pings, and is there when it drains.
type report struct {
	Received int    `json:"received"` // messages
	Ordered  bool   `json:"ordered"`
	Large    int    `json:"large"`   // length of the large one's text
	Speech   string `json:"speech"`  // text of the one with all sorts of characters
	Pong     bool   `json:"pong"`    // its ping was answered with the same payload
	Closed   int    `json:"closed"`  // the code that its close was answered with
	Refused  int    `json:"refused"` // the code after the binary message
	Bye      string `json:"bye"`     // reason of the gateway's last message
	After    bool   `json:"after"`   // which says when to reconnect
	Drained  int    `json:"drained"` // the code at the end
}

// played is the report of a client that everything went well for.
var played = report{messages, true, largeSize, speech, true, 4321, 1003, "drain", true, 1012}

// player plays a client's part against the WebSocket at url. say tells the test
// how far it is.
type player func(ctx context.Context, url string, say func(string)) (report, error)

// performance is a client that plays its part.
type performance struct {
	said <-chan string // closed when it's done
	got  report        // valid then, as is err
	err  error
}

// begin has a client play its part against the WebSocket at url, for at most twice the patience.
func begin(t *testing.T, url string, play player) *performance {
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	said := make(chan string, 8)
	p := &performance{said: said}
	go func() { // ends with ctx, the test's end at the latest
		defer close(said)
		defer cancel()
		p.got, p.err = play(ctx, url, func(line string) { said <- line })
	}()
	return p
}

// judge waits for the client's report and checks it.
func (p *performance) judge(t *testing.T) {
	t.Helper()
	for line := range p.said {
		t.Errorf("it says %q", line)
	}
	if p.err != nil {
		t.Error(p.err)
	}
	if p.got != played {
		t.Errorf("it reports %+v\n        want %+v", p.got, played)
	}
}

// perform has a client play its part.
func perform(t *testing.T, play player) {
	g := startGateway(t)
	p := begin(t, "ws://"+g.Public+"/v1/ws", play)
	await(t, p.said, "subscribed", &p.err)
	g.publish(channel)
	await(t, p.said, "waiting", &p.err)
	eventually(t, "the gateway has pinged it twice", func() bool { return g.Metric("gateway_pings_total") >= 2 })
	if n := g.Metric(`gateway_closes_total{reason="timeout"}`); n != 0 {
		t.Errorf("%v connections ended for a ping without an answer", n)
	}
	g.Signal(syscall.SIGTERM)
	p.judge(t)
	g.Exits()
}

// await waits until the player says a line.
func await(t *testing.T, said <-chan string, want string, err *error) {
	t.Helper()
	select {
	case line, ok := <-said:
		switch {
		case !ok:
			t.Fatalf("it ended before it was %s: %v", want, *err)
		case line != want:
			t.Fatalf("it says %q, want %q", line, want)
		}
	case <-time.After(patience):
		t.Fatalf("it doesn't get to %q", want)
	}
}

// script returns the player of a program: it gets the URL as its last argument, and talks on
// standard output, its report being the last line.
func script(command string, args []string, env ...string) player {
	return func(ctx context.Context, url string, say func(string)) (r report, err error) {
		cmd := exec.CommandContext(ctx, command, append(args, url)...)
		cmd.Env = append(cmd.Environ(), env...)
		var complaint strings.Builder
		cmd.Stderr = &complaint
		out, err := cmd.StdoutPipe()
		if err != nil {
			return r, err
		}
		if err := cmd.Start(); err != nil {
			return r, err
		}
		for lines := bufio.NewScanner(out); lines.Scan(); {
			line := lines.Text()
			if !strings.HasPrefix(line, "{") {
				say(line)
				continue
			}
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				return r, fmt.Errorf("%s: %w", line, err)
			}
		}
		if err := cmd.Wait(); err != nil {
			return r, fmt.Errorf("%w\n%s", err, complaint.String())
		}
		return r, nil
	}
}

// take notes a message of the channel.
func (r *report) take(text []byte) error {
	var e struct {
		Type string
		Data struct {
			N    int
			Text string
		}
	}
	if err := json.Unmarshal(text, &e); err != nil {
		return err
	}
	if e.Type != "message" {
		return fmt.Errorf("got %.100s in place of message %d", text, r.Received)
	}
	if r.Received == 0 {
		r.Ordered = true
	}
	r.Ordered = r.Ordered && e.Data.N == r.Received
	switch r.Received {
	case largeOne:
		r.Large = len(e.Data.Text)
	case speechOne:
		r.Speech = e.Data.Text
	}
	r.Received++
	return nil
}

// notice is any other message of the gateway.
type notice struct {
	Type             string
	Reason           string
	ReconnectAfterMS int `json:"reconnect_after_ms"`
}

// leave notes a bye.
func (r *report) leave(text []byte) error {
	var n notice
	if err := json.Unmarshal(text, &n); err != nil {
		return err
	}
	if n.Type == "bye" {
		r.Bye, r.After = n.Reason, n.ReconnectAfterMS > 0
	}
	return nil
}

// subscription is the command that all send.
const subscription = `{"type":"subscribe","channel":"` + channel + `","ref":1}`
