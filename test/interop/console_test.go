package interop

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestConsole has an operator look at the console and publish, of a gateway as
// `make run` starts it, of one whose clients need a token, and of one with TLS alone.
func TestConsole(t *testing.T) {
	chromium := needs(t, "chromium", "node", "npm")
	modules := npmInstall(t, "playwright-core@1")
	cases := map[string]struct {
		flags    []string
		end      string // the state at which it settles
		received bool
	}{
		"no token needed": {nil, "open: connected to ", true},
		"TLS alone":       {[]string{"--listen", "", "--tls.self_signed", "--tls.listen", "127.0.0.1:0"}, "open: connected to wss://", true},
		"no token given":  {[]string{"--auth.mode", "jwt", "--auth.jwt.secret", secret, "--limits.head_timeout", "1s"}, "failed: closed: 4001", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			g := startGateway(t, c.flags...)
			ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
			defer cancel()
			cmd := exec.CommandContext(ctx, "node", "testdata/console.js", chromium, "http://"+g.Admin+"/console/")
			cmd.Env = append(os.Environ(), "NODE_PATH="+modules)
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v\n%s", err, err.(*exec.ExitError).Stderr)
			}
			var got struct {
				States              []string
				Published, Received bool
				Complaints          []string
			}
			if err := json.Unmarshal(out, &got); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			for i, state := range got.States {
				if last := i == len(got.States)-1; last != strings.HasPrefix(state, c.end) || strings.HasPrefix(state, "open") && !c.received {
					t.Errorf("the console says %q", got.States)
				}
			}
			if !got.Published || got.Received != c.received || len(got.Complaints) > 0 {
				t.Errorf("got %+v", got)
			}
		})
	}
}
