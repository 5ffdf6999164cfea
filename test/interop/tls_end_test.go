package interop

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"

	"github.com/pushgate/pushgate/internal/redistest"
)

// TestTLSEnds has Python's ssl, which tells an end of the stream with close_notify from one without,
// end connections and see them ended in every way.
func TestTLSEnds(t *testing.T) {
	py := python(t)
	c, redis := newTLSCertificates(t), redistest.Start(t)
	s := startTLSOn(t, redis, c, "--drain.timeout", "200ms", "--limits.head_timeout", "1m")
	hasty := startTLSOn(t, redis, c, "--limits.head_timeout", "1s")
	ends := map[string]*dialogue{}
	for _, version := range tlsVersions {
		for _, end := range []string{"close", "half", "first", "websocket", "silent", "malformed", "drained-websocket", "drained-events", "drained-poll"} {
			to := s
			if end == "silent" { // only its gateway has to run out of patience
				to = hasty
			}
			ends[end+" "+version] = talkTo(t, to.withOpenSSL(version), py, "testdata/end.py", to.tls, end)
		}
	}
	for name, d := range ends {
		if strings.HasPrefix(name, "drained") {
			d.expect("here")
		}
	}
	// A half-closed client has still its poll answered.
	for _, version := range tlsVersions {
		d := ends["half "+version]
		d.expect("here")
		d.expectWhile("late", func() { redis.Publish("half", `"late"`) })
	}
	for name, d := range ends {
		if !strings.HasPrefix(name, "drained") {
			judgeEnd(t, name, d)
		}
	}
	s.Signal(syscall.SIGTERM)
	for name, d := range ends {
		if strings.HasPrefix(name, "drained") {
			judgeEnd(t, name, d)
		}
	}
	s.Exits()
}

// judgeEnd checks the report of testdata/end.py.
func judgeEnd(t *testing.T, name string, d *dialogue) {
	t.Helper()
	if code := d.ends(); code != 0 {
		t.Errorf("%s: it ends with %d", name, code)
		return
	}
	var got struct{ Text, End string }
	text := d.text()
	if err := json.Unmarshal([]byte(text[strings.LastIndex(text, "\n{")+1:]), &got); err != nil {
		t.Fatalf("%s: %v: %s", name, err, text)
	}
	// The last bytes before the end.
	want := map[string]string{
		"close": "\r\n\r\nok\n", "half": "late", "first": "\r\n\r\nok\n", "websocket": "welcome", "silent": "", "malformed": "400 Bad Request",
		"drained-websocket": `"reason":"drain"`, "drained-events": `"reason":"drain"`, "drained-poll": "204 No Content",
	}[strings.Fields(name)[0]]
	if !strings.Contains(got.Text, want) {
		t.Errorf("%s: it is sent %q, want %q", name, got.Text, want)
	}
	if got.End != "close_notify" {
		t.Errorf("%s: the stream ends by %s", name, got.End)
	}
}
