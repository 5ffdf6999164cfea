package gateway

import (
	"encoding/json"
	"strings"
	"testing"
	"unsafe"

	"github.com/gobwas/ws"

	"github.com/pushgate/pushgate/internal/wsframe"
)

// A frame longer than readRequests takes two reads, not one for every 16 KiB.
func TestRestOfAFrameIsReadWhole(t *testing.T) {
	s := newStill(t, nil)
	p := s.openWebSocket("news")
	frame := wsframe.AppendMasked(nil, ws.OpText, []byte(`{"type":"ping","data":"`+strings.Repeat("x", 60_000)+`"}`), [4]byte{1, 2, 3, 4})
	p.send(frame)
	if got := p.receive(); len(got) != 0 {
		t.Fatalf("after %d bytes of %d it's answered by %q", readRequests, len(frame), got)
	}
	s.conns.Read(p.slot)
	if got := string(p.receive()); !strings.Contains(got, "pong") {
		t.Errorf("it's answered by %q", got)
	}
}

// A command's data isn't copied by decoding, and equals encoding/json's copy.
func TestDataIsNotCopied(t *testing.T) {
	for _, data := range []string{`1`, `"` + strings.Repeat("é", 30_000) + `"`, ` {"a": [1, "}"]} `, `null`, "\t[ ]\n"} {
		text := []byte(`{"type":"publish","channel":"a","data":` + data + `,"ref":1}`)
		var cmd command
		var copied struct{ Data json.RawMessage }
		if err := json.Unmarshal(text, &cmd); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &copied); err != nil {
			t.Fatal(err)
		}
		if string(cmd.Data) != string(copied.Data) {
			t.Errorf("%.50q: %.50q, want %.50q", text, cmd.Data, copied.Data)
		}
		begin, at := uintptr(unsafe.Pointer(unsafe.SliceData(text))), uintptr(unsafe.Pointer(unsafe.SliceData(cmd.Data)))
		if at < begin || at >= begin+uintptr(len(text)) {
			t.Errorf("%.50q: the data is elsewhere", text)
		}
	}
}
