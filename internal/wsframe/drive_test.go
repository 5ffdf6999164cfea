package wsframe

import (
	"bytes"

	"github.com/gobwas/ws"
)

// drive feeds in to a Reader in pieces whose sizes sizes gives, and joins the
// events. It checks the invariants of every call of Next.
func drive(t tester, side Side, limit int64, in []byte, sizes func() int) (o outcome) {
	t.Helper()
	r := NewReader(side, limit)
	var message []byte
	taken := 0
	for taken < len(in) {
		size := min(max(sizes(), 1), len(in)-taken)
		// A copy of just this piece: reads outside of it panic.
		piece := bytes.Clone(in[taken : taken+size])
		for len(piece) > 0 {
			before := bytes.Clone(piece)
			ev, n, err := r.Next(piece)
			if n < 0 || n > len(piece) {
				t.Fatalf("Next took %d of %d bytes", n, len(piece))
			}
			if !bytes.Equal(piece[n:], before[n:]) {
				t.Fatal("Next changed bytes that it didn't take")
			}
			taken += n
			if err != nil {
				e, isError := err.(*Error)
				if !isError {
					t.Fatalf("error is a %T", err)
				}
				if r.Idle() {
					t.Fatal("Idle after a failure")
				}
				if _, again, err2 := r.Next(before); again != 0 || err2 != err {
					t.Fatalf("Next after a failure took %d bytes and said %v", again, err2)
				}
				o.code, o.failedAt, o.partial = e.Code, taken, string(message)
				return o
			}
			switch ev.Kind {
			case NeedMore:
				if n != len(piece) {
					t.Fatalf("NeedMore with %d of %d bytes taken", n, len(piece))
				}
			case Data:
				message = append(message, ev.Payload...)
				if ev.Final {
					o.items = append(o.items, item{kind: Data, op: ev.Op, payload: string(message)})
					message = nil
					if !r.Idle() {
						t.Fatal("not Idle after a message")
					}
				} else if len(ev.Payload) == 0 || r.Idle() {
					t.Fatal("piece of an unfinished message is empty or leaves the Reader Idle")
				}
			default:
				o.items = append(o.items, item{kind: ev.Kind, op: ev.Op, payload: string(ev.Payload), code: ev.Code})
				if ev.Kind == Close {
					checkClosed(t, &r, ev)
					o.partial = string(message)
					return o
				}
			}
			piece = piece[n:]
		}
	}
	o.partial = string(message)
	return o
}

// checkClosed checks that a Close splits into code and reason, and that the
// Reader drops all that follows.
func checkClosed(t tester, r *Reader, ev Event) {
	t.Helper()
	if want := string(ev.Payload); ev.Code == ws.StatusNoStatusRcvd {
		if want != "" || ev.Reason != nil {
			t.Fatalf("close without a code has %q", want)
		}
	} else if got := closeText(ev.Code, string(ev.Reason)); got != want {
		t.Fatalf("close body %q was split into %d and %q", want, ev.Code, ev.Reason)
	}
	if ev, n, err := r.Next([]byte{0xff, 0xff, 0xff}); ev.Kind != NeedMore || n != 3 || err != nil || r.Idle() {
		t.Fatalf("after a close: %v %d %v", ev.Kind, n, err)
	}
}

// allAtOnce and byteByByte are the two ends of how an input can be split.
func allAtOnce() int  { return 1 << 30 }
func byteByByte() int { return 1 }

// bySizes splits by the values of a byte slice, repeated.
func bySizes(sizes []byte) func() int {
	i := 0
	return func() int {
		if len(sizes) == 0 {
			return 1
		}
		i++
		return int(sizes[(i-1)%len(sizes)])
	}
}

// checkAgainstReference compares the Reader with the reference. Byte by byte
// everything must agree, even the byte of the failure. Larger pieces may see a
// failure later and then don't give the piece that holds it.
func checkAgainstReference(t tester, side Side, limit int64, in []byte, sizes []byte) {
	t.Helper()
	want := reference(side, limit, in)
	if got := drive(t, side, limit, in, byteByByte); !got.equal(want) {
		t.Fatalf("side %d limit %d input %x\nbyte by byte: %v\n   reference: %v", side, limit, in, got, want)
	}
	for name, split := range map[string]func() int{"at once": allAtOnce, "split": bySizes(sizes)} {
		got := drive(t, side, limit, in, split)
		if want.code != 0 && got.failedAt >= want.failedAt && len(got.partial) <= len(want.partial) {
			got.failedAt = want.failedAt
			if want.partial[:len(got.partial)] == got.partial {
				got.partial = want.partial
			}
		}
		if !got.equal(want) {
			t.Fatalf("side %d limit %d input %x sizes %v\n%9s: %v\nreference: %v", side, limit, in, sizes, name, got, want)
		}
	}
}

// tester holds the common methods of testing.T and rapid.T.
type tester interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}
