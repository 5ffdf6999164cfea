package conn

import (
	"syscall"
	"testing"
	"time"

	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// park sends a record without its last byte.
func (p *peer) park() {
	p.w.t.Helper()
	b, _, err := p.w.layer.AppendData(nil, &p.tls.State, p.tls.Wide, [][]byte{[]byte("parked")}, 0)
	if err != nil {
		p.w.t.Fatal(err)
	}
	if _, err := syscall.Write(p.fd, b[:len(b)-1]); err != nil {
		p.w.t.Fatal(err)
	}
	p.w.Reading.Now(p.slot)
}

// pass lets ticks pass, each with a turn.
func (w *owner) pass(ticks uint32) {
	for range ticks {
		w.Tick(w.Clock.now + 1)
		w.Turn()
	}
}

// The start of a record ends its connection once, whichever deadline comes first: in its first record
// the client has the time for a request, later it has its own besides the handler's.
func TestPartialRecordsEndOnce(t *testing.T) {
	const limit = 10 // ticks
	for name, test := range map[string]struct {
		at      uint32 // tick of the partial record
		behind  bool   // something was received before
		ends    uint32 // tick
		handled bool   // the handler's deadline ends it
		partial uint64
	}{
		"at once":              {at: 0, ends: limit, partial: 1},
		"later":                {at: limit / 2, ends: limit, partial: 1},
		"behind data, at once": {at: 0, behind: true, ends: limit, handled: true},
		"behind data, later":   {at: limit / 2, behind: true, ends: limit, handled: true},
		"beyond all deadlines": {at: 2 * limit, behind: true, ends: 3 * limit, partial: 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newOwner(t, Options{FirstRequest: limit * Tick})
			w.secure, w.dueEnds = true, test.handled
			p := w.connect()
			if test.behind {
				p.send([]byte("data"), false)
			}
			w.pass(test.at)
			p.park()
			w.pass(test.ends - test.at - 1)
			if w.closed[p.slot] != "" {
				t.Errorf("it ended for %s before its time", w.closed[p.slot])
			}
			w.pass(limit)
			want := reasons.CloseTLS
			if test.handled {
				want = reasons.CloseSlow
			}
			if n := w.Stats().TLSFailures[reasons.TLSPartial]; n != test.partial || w.closed[p.slot] != want {
				t.Errorf("%d are counted, it ended for %q", n, w.closed[p.slot])
			}
			if handled := len(w.due) > 0; handled != test.behind {
				t.Errorf("the handler's deadlines: %v", w.due)
			}
			if n, bytes := w.Input.Used(); n != 0 || bytes != 0 || w.Secure.oldest != 0 {
				t.Errorf("%d bytes of %d clients are left", bytes, n)
			}
		})
	}
}

// A connection that is closing has failed already: its client's end within a record isn't counted.
func TestPartialRecordOfAClosingConnection(t *testing.T) {
	w := newOwner(t, Options{FirstRequest: time.Minute})
	w.secure = true
	p := w.connect()
	p.park()
	w.Finish(p.slot, reasons.CloseDrain)
	syscall.Shutdown(p.fd, syscall.SHUT_WR)
	w.Reading.Now(p.slot) // before Reap
	w.Reap()
	if n := w.Stats().TLSFailures[reasons.TLSPartial]; n != 0 || w.Slots.Len() != 0 {
		t.Errorf("%d are counted, %d connections are left", n, w.Slots.Len())
	}
}

// A record isn't given up while its rest may be in the socket because the loop has stood.
func TestPartialRecordWhileTheLoopStood(t *testing.T) {
	w := newOwner(t, Options{FirstRequest: time.Second})
	w.secure = true
	p := w.connect()
	p.send([]byte("data"), false)
	p.park()
	w.Clock.SetNow(100) // as before the first event of a round
	w.ReadMore()
	if w.closed[p.slot] != "" {
		t.Errorf("it ends for %s", w.closed[p.slot])
	}
	w.pass(10)
	if w.closed[p.slot] != reasons.CloseTLS {
		t.Errorf("it ends for %q in the end", w.closed[p.slot])
	}
}
