package gateway

import (
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/pushgate/pushgate/gateway/internal/httpconn"
	"github.com/pushgate/pushgate/internal/wsframe"
)

// A frame longer than httpconn.ReadRequests takes two reads, not one for every 16 KiB.
func TestRestOfAFrameIsReadWhole(t *testing.T) {
	s := newStill(t, nil)
	p := s.openWebSocket("news")
	frame := wsframe.AppendMasked(nil, ws.OpText, []byte(`{"type":"ping","data":"`+strings.Repeat("x", 60_000)+`"}`), [4]byte{1, 2, 3, 4})
	p.send(frame)
	if got := p.receive(); len(got) != 0 {
		t.Fatalf("after %d bytes of %d it's answered by %q", httpconn.ReadRequests, len(frame), got)
	}
	if *TLSOfTests {
		s.conns.Reading.Now(p.slot) // the first record was too long for one read, and only it tells the frame's length
	}
	s.conns.Reading.Now(p.slot)
	if got := string(p.receive()); !strings.Contains(got, "pong") {
		t.Errorf("it's answered by %q", got)
	}
}
