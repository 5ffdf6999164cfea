package interop

import (
	"encoding/json"
	"os/exec"
	"testing"
)

// TestSubprotocols has a browser and a library offer subprotocols, a token among
// them. A browser fails a connection if it offers some and none is chosen.
func TestSubprotocols(t *testing.T) {
	g := startGateway(t, "--auth.mode", "jwt", "--auth.jwt.secret", secret, "--websocket.subprotocols", "mine")
	token := "bearer." + mint(t, "--sub", "anna", "--subscribe", "news")
	offers := map[string][]string{
		"none":        {},
		"own":         {"pushgate.v1", token},
		"token first": {token, "other", "pushgate.v1"},
		"configured":  {"other", "mine", token},
		"unknown":     {"other", token},
		"token alone": {token},
	}
	list, err := json.Marshal(offers)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("Chromium", func(t *testing.T) {
		page := openTab(t, nil)
		page.run(`for (const [name, offers] of Object.entries(` + string(list) + `)) {
				const socket = new WebSocket("ws://` + g.Public + `/v1/ws?channels=news", offers);
				const end = what => { tab.report(name, "offered", what); socket.onerror = socket.onmessage = null; socket.close(); };
				socket.onerror = () => end("failed");
				socket.onmessage = e => end(JSON.parse(e.data).type + " " + socket.protocol);
				if (offers.length === 0) socket.onopen = () => end("open " + socket.protocol);
			}`)
		for name, want := range map[string]string{
			"none": "open ", "own": "welcome pushgate.v1", "token first": "welcome pushgate.v1", "configured": "welcome mine",
			"unknown": "failed", "token alone": "failed",
		} {
			if got := page.expect(name, "offered")["value"]; got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
	})
	t.Run("Python", func(t *testing.T) {
		out, err := exec.Command(python(t), "-c", `
import asyncio, json, sys, websockets
async def play():
    for name, offers in sorted(json.loads(sys.argv[2]).items()):
        if not offers: continue
        async with websockets.connect(sys.argv[1], subprotocols=offers) as ws:
            print(name, json.loads(await ws.recv())["type"], ws.subprotocol)
asyncio.run(play())`, "ws://"+g.Public+"/v1/ws?channels=news", string(list)).CombinedOutput()
		want := "configured welcome mine\nown welcome pushgate.v1\ntoken alone welcome None\ntoken first welcome pushgate.v1\nunknown welcome None\n"
		if string(out) != want || err != nil {
			t.Errorf("got %s, %v", out, err)
		}
	})
}
