package message

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"runtime"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
	"unsafe"

	"github.com/gobwas/ws"
	"pgregory.net/rapid"
)

func TestEncoded(t *testing.T) {
	const id = "1732345678901-0"
	head := `{"type":"message","channel":"news","id":"` + id + `",`
	event := "id: " + id + "\nevent: message\n"
	tests := map[string]struct {
		payload  string
		object   string // after the head
		event    string // its object after the head, where it differs
		raw      string // data lines of the raw event
		rawEvent string // whole raw event, where its name differs
		rawOp    ws.OpCode
	}{
		"object":     {payload: `{"a":[1,2]}`, object: `"data":{"a":[1,2]}}`, raw: "data: {\"a\":[1,2]}\n"},
		"number":     {payload: `12`, object: `"data":12}`, raw: "data: 12\n"},
		"html":       {payload: `"<b>&"`, object: `"data":"<b>&"}`, raw: "data: \"<b>&\"\n"},
		"text":       {payload: `hello <you> & "me"`, object: `"data":"hello <you> & \"me\""}`, raw: "data: hello <you> & \"me\"\n"},
		"empty":      {payload: ``, object: `"data":""}`, raw: "data: \n"},
		"not ASCII":  {payload: `grüße`, object: `"data":"grüße"}`, raw: "data: grüße\n"},
		"control":    {payload: "a\x00b", object: `"data":"a\u0000b"}`, raw: "data: a\x00b\n"},
		"lead space": {payload: ` x`, object: `"data":" x"}`, raw: "data:  x\n"},
		"text lines": {
			payload: "a\nb\r\nc\rd\n", object: `"data":"a\nb\r\nc\rd\n"}`,
			raw: "data: a\ndata: b\ndata: c\ndata: d\ndata: \n",
		},
		"JSON lines": {
			payload: "{\r\n\t\"a\":\r\"x\\ny\"\n}\n",
			object:  "\"data\":{\r\n\t\"a\":\r\"x\\ny\"\n}\n}",
			event:   "\"data\":{  \t\"a\": \"x\\ny\" } }",
			raw:     "data: {\ndata: \t\"a\":\ndata: \"x\\ny\"\ndata: }\ndata: \n",
		},
		"bytes": {
			payload: "\xff\x00\x01", object: `"data_base64":"/wAB"}`, rawOp: ws.OpBinary,
			rawEvent: "id: " + id + "\nevent: message_base64\ndata: /wAB\n\n",
		},
		"JSON with bad UTF-8": {
			payload: "\"\xff\"", object: `"data_base64":"Iv8i"}`, rawOp: ws.OpBinary,
			rawEvent: "id: " + id + "\nevent: message_base64\ndata: Iv8i\n\n",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if tt.event == "" {
				tt.event = tt.object
			}
			if tt.rawEvent == "" {
				tt.rawEvent = event + tt.raw + "\n"
			}
			if tt.rawOp == 0 {
				tt.rawOp = ws.OpText
			}
			m := New("news", mustPosition(t, id), 1, []byte(tt.payload))
			want := [Forms]string{
				FormText:     string(ws.MustCompileFrame(ws.NewTextFrame([]byte(head + tt.object)))),
				FormRaw:      string(ws.MustCompileFrame(ws.NewFrame(tt.rawOp, true, []byte(tt.payload)))),
				FormEvent:    event + "data: " + head + tt.event + "\n\n",
				FormRawEvent: tt.rawEvent,
				FormJSON:     head + tt.object,
				FormData:     "{" + tt.object,
			}
			if value, ok := strings.CutPrefix(tt.object, `"data":`); ok {
				want[FormData] = strings.TrimSuffix(value, "}")
			}
			for f, w := range want {
				if got := string(m.Encoded(Form(f))); got != w {
					t.Errorf("form %d:\n got %q\nwant %q", f, got, w)
				}
			}
		})
	}
}

// A user stands behind the id in every form but the raw ones, as a JSON string
// whatever it holds.
func TestEncodedUser(t *testing.T) {
	const spelled = `"user":"a\"\\\n\u001e<é"`
	for name, payload := range map[string]string{"JSON": `{"user":"eve"}`, "text": "hello", "bytes": "\xff"} {
		t.Run(name, func(t *testing.T) {
			bare := New("news", mustPosition(t, "7-1"), 1, []byte(payload))
			m := New("news", mustPosition(t, "7-1"), 1, []byte(payload))
			m.User = "a\"\\\n\x1e<é"
			for f := range Forms {
				got, want := string(m.Encoded(f)), string(bare.Encoded(f))
				switch f {
				case FormText: // the frames differ in their length
					_, got, _ = strings.Cut(got, "{")
					_, want, _ = strings.Cut(want, "{")
					fallthrough
				case FormEvent, FormJSON:
					want = strings.Replace(want, `"id":"7-1",`, `"id":"7-1",`+spelled+`,`, 1)
				}
				if got != want {
					t.Errorf("form %d:\n got %q\nwant %q", f, got, want)
				}
			}
		})
	}
}

// TestEncodedRoundTrip reads every form as a client does.
func TestEncodedRoundTrip(t *testing.T) {
	payloads := rapid.OneOf(
		rapid.SliceOfN(rapid.Byte(), 0, 300),
		rapid.Map(rapid.String(), func(s string) []byte { return []byte(s) }),
		rapid.Map(rapid.String(), func(s string) []byte {
			b, _ := json.MarshalIndent(map[string]string{"a": s}, "\r", "\n")
			return b
		}),
		rapid.Map(rapid.IntRange(0, 70_000), func(n int) []byte { return bytes.Repeat([]byte("x"), n) }),
	)
	rapid.Check(t, func(t *rapid.T) {
		payload := payloads.Draw(t, "payload")
		id := drawPosition(t, "node-1")
		m := New("a/b:c", id, 7, bytes.Clone(payload))

		frame := readServerFrame(t, m.Encoded(FormText))
		if frame.Header.OpCode != ws.OpText || !utf8.Valid(frame.Payload) {
			t.Fatalf("frame %v is no UTF-8 text", frame)
		}
		checkObject(t, frame.Payload, id, payload)
		checkObject(t, m.Encoded(FormJSON), id, payload)

		raw := readServerFrame(t, m.Encoded(FormRaw))
		if !bytes.Equal(raw.Payload, payload) || (raw.Header.OpCode == ws.OpText) != utf8.Valid(payload) {
			t.Fatalf("raw frame is %v, payload %q", raw, payload)
		}

		name, eventID, data := readEvent(t, m.Encoded(FormEvent))
		if name != "message" || eventID != id.String() {
			t.Fatalf("event %q with id %q", name, eventID)
		}
		checkObject(t, []byte(data), id, payload)

		name, eventID, data = readEvent(t, m.Encoded(FormRawEvent))
		if eventID != id.String() {
			t.Fatalf("raw event with id %q", eventID)
		}
		want := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(payload))
		if !utf8.Valid(payload) {
			if name != "message_base64" {
				t.Fatalf("raw event %q", name)
			}
			want = base64.StdEncoding.EncodeToString(payload)
		}
		if data != want {
			t.Fatalf("raw event data %q, want %q", data, want)
		}
		if !bytes.Equal(m.Payload, payload) {
			t.Fatal("the payload was written to")
		}
	})
}

// readServerFrame reads b as one whole frame.
func readServerFrame(t *rapid.T, b []byte) ws.Frame {
	r := bytes.NewReader(b)
	f, err := ws.ReadFrame(r)
	if err != nil || r.Len() != 0 || !f.Header.Fin || f.Header.Masked {
		t.Fatalf("frame %+v, %d bytes left, error %v", f.Header, r.Len(), err)
	}
	return f
}

func checkObject(t *rapid.T, object []byte, id Position, payload []byte) {
	var o struct {
		Type, Channel, ID string
		Data              json.RawMessage
		Base64            *[]byte `json:"data_base64"`
	}
	if err := json.Unmarshal(object, &o); err != nil {
		t.Fatalf("object %q: %v", object, err)
	}
	if o.Type != "message" || o.Channel != "a/b:c" || o.ID != id.String() {
		t.Fatalf("object %q", object)
	}
	var text string
	switch {
	case o.Base64 != nil:
		if !bytes.Equal(*o.Base64, payload) || utf8.Valid(payload) {
			t.Fatalf("object %q for payload %q", object, payload)
		}
	case json.Valid(payload):
		var got, want bytes.Buffer
		if json.Compact(&got, o.Data) != nil || json.Compact(&want, payload) != nil || got.String() != want.String() {
			t.Fatalf("object %q for payload %q", object, payload)
		}
	case json.Unmarshal(o.Data, &text) != nil || text != string(payload):
		t.Fatalf("object %q for payload %q", object, payload)
	}
}

// readEvent reads one event by the rules of the HTML standard.
func readEvent(t *rapid.T, b []byte) (name, id, data string) {
	text := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(b))
	if strings.Index(text, "\n\n") != len(text)-2 {
		t.Fatalf("%q is not one event", b)
	}
	for line := range strings.Lines(strings.TrimSuffix(text, "\n")) {
		field, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case ok && field == "event":
			name = value
		case ok && field == "id":
			id = value
		case ok && field == "data":
			data += value + "\n"
		default:
			t.Fatalf("line %q in event %q", line, b)
		}
	}
	return name, id, strings.TrimSuffix(data, "\n")
}

func TestEncodedIsMadeOnce(t *testing.T) {
	m := New("news", Position{Ms: 1}, 1, []byte(`{"a":1}`))
	var first [8][]byte
	var wg sync.WaitGroup
	for i := range first {
		wg.Go(func() { first[i] = m.Encoded(FormText) })
	}
	wg.Wait()
	for i := range first {
		if &first[i][0] != &first[0][0] {
			t.Fatal("two goroutines got two encodings")
		}
	}
	for f := range Forms {
		if made := m.find(f) != nil; made != (f == FormText) {
			t.Errorf("form %d made: %v", f, made)
		}
	}
	if n := testing.AllocsPerRun(100, func() { m.Encoded(FormText) }); n != 0 {
		t.Errorf("%v allocations for a form that is made, want 0", n)
	}
}

// A large message is allocated once on receipt and once for each form in which it is sent.
func TestLargeMessageIsAllocatedOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("counts allocations, of which the race detector makes others")
	}
	const size = 60_000
	allocated := func(fn func()) int {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		fn()
		runtime.ReadMemStats(&after)
		return int(after.TotalAlloc - before.TotalAlloc)
	}
	for name, payload := range map[string]string{
		"JSON":  `"` + strings.Repeat("x", size) + `"`,
		"text":  strings.Repeat("a line\n\"", size/8),
		"lines": strings.Repeat(strings.Repeat("x", 100)+"\n", size/101),
		"bytes": strings.Repeat("\xff", size),
	} {
		for f := range Forms {
			msg := New("c", Position{Ms: 1}, 1, []byte(payload))
			n := allocated(func() { msg.Encoded(f) })
			if most := len(msg.Encoded(f)) + 16<<10; n > most {
				t.Errorf("%s: %d bytes are allocated for %d of form %d", name, n, len(msg.Encoded(f)), f)
			}
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	payload := []byte(`{"text":"` + strings.Repeat("x", 117) + `"}`)
	for name, f := range map[string]Form{"text": FormText, "event": FormEvent, "raw": FormRaw} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				New("news", Position{Ms: 1732345678901}, 1, payload).Encoded(f)
			}
		})
	}
}

// A million messages may wait: two words more are 16 MB.
func TestMessageSize(t *testing.T) {
	if got := int(unsafe.Sizeof(Message{})); got != messageBytes || got > 160 {
		t.Errorf("a message takes %d bytes, counted as %d, want 160", got, messageBytes)
	}
}
