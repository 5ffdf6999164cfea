package main

import (
	"bufio"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/pushgate/pushgate/bench/client"
	"github.com/pushgate/pushgate/bench/rig"
)

// pongTimeout is how long a client may take to answer a ping, where a server
// asks. The machine is busy.
func (s setting) pongTimeout() time.Duration { return s.interval * 3 / 4 }

// startOwn starts one of the servers of this program.
func startOwn(ctx context.Context, s setting) (*running, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := []string{"serve", "-transport", string(s.transport), "-interval", s.interval.String(), s.server}
	cmd := exec.CommandContext(ctx, self, args...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p, err := rig.Launch(s.server, cmd)
	if err != nil {
		return nil, err
	}
	r := &running{
		Process: p,
		path:    "/",
		speech:  client.Speech{Number: numberMark},
		publish: func(_ context.Context, text []byte) error {
			_, err := stdin.Write(append(text, '\n'))
			return err
		},
		config: fmt.Sprintf("peers serve %s %q", strings.Join(args[1:len(args)-1], " "), s.server),
		close:  p.Kill,
	}
	if s.server == centrifugeName {
		r.speech = centrifugeSpeech(s.transport)
		if s.transport == eventsTransport {
			r.path = centrifugeEventsPath
		}
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err == nil {
		r.listen, err = netip.ParseAddrPort(strings.TrimSpace(line))
	}
	if err != nil {
		p.Kill()
		return nil, fmt.Errorf("start %s: %w; its log:\n%s", s.server, err, p.Log())
	}
	return r, nil
}
