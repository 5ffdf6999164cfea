package reactor

import (
	"slices"
	"testing"
	"time"
)

// spin keeps the loop busy for more than its slice.
func spin() {
	for start := time.Now(); time.Since(start) < Slice+time.Millisecond; {
	}
}

// A burst of posts doesn't keep events and the owner's long work waiting, and runs
// in its order.
func TestPostsRunInSlices(t *testing.T) {
	a, b := pair(t)
	var ran []int // of the posts
	seen, turned := -1, -1
	h := &recorder{
		ready: func(Key, Events) {
			var p [1]byte
			Read(a, p[:])
			seen = len(ran)
		},
		turn: func() bool {
			if turned < 0 && len(ran) > 0 {
				turned = len(ran)
			}
			return false
		},
	}
	l, err := New(h)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Add(a, Key{Slot: 1}, In); err != nil {
		t.Fatal(err)
	}
	const posts = 50
	want := make([]int, posts)
	done := make(chan struct{})
	for i := range posts {
		want[i] = i
		l.Post(func() {
			if i == 0 {
				Write(b, []byte("x"))
				l.Post(func() { close(done) }) // behind the present ones
			}
			spin()
			ran = append(ran, i)
		})
	}
	if err := l.Start(func(err error) { t.Errorf("loop failed: %v", err) }); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	receive(t, done)
	if !slices.Equal(ran, want) {
		t.Errorf("ran %v", ran)
	}
	if seen != 1 || turned != 1 {
		t.Errorf("the event was seen after %d posts and the long work done after %d, want both after the first", seen, turned)
	}
}

// A burst of events doesn't keep posts waiting, and none is reported twice before all are
// reported once.
func TestEventsComeInSlices(t *testing.T) {
	var told []uint32
	var l *Loop
	posted := -1
	done := make(chan struct{})
	const sockets = 50
	h := &recorder{ready: func(k Key, _ Events) {
		if len(told) == 0 {
			l.Post(func() { posted = len(told) })
		}
		if told = append(told, k.Slot); len(told) == sockets {
			l.Post(func() { close(done) })
		}
		spin() // the unread bytes stay
	}}
	l, err := New(h)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]uint32, sockets)
	for i := range want {
		a, b := pair(t)
		want[i] = uint32(i)
		Write(b, []byte("x"))
		if err := l.Add(a, Key{Slot: uint32(i)}, In); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Start(func(err error) { t.Errorf("loop failed: %v", err) }); err != nil {
		t.Fatal(err)
	}
	receive(t, done)
	l.Close()
	slices.Sort(told[:sockets])
	if !slices.Equal(told[:sockets], want) {
		t.Errorf("told first: %v", told[:sockets])
	}
	if posted != 1 {
		t.Errorf("the post ran after %d events, want after the first", posted)
	}
}

// A loop is late while events wait that the kernel named more than 4 ms ago.
func TestLate(t *testing.T) {
	const events = 3
	var l *Loop
	handled := 0
	lates := make(map[int]bool) // by how many are handled
	done := make(chan struct{})
	h := &recorder{
		ready: func(k Key, _ Events) {
			var p [1]byte
			Read(int(k.Slot), p[:])
			if handled++; handled == events-1 {
				for start := time.Now(); time.Since(start) <= late; {
				}
			}
		},
		turn: func() bool {
			if _, known := lates[handled]; handled > events || known {
				return false
			}
			if lates[handled] = l.Late(); handled == events {
				handled++ // no more
				close(done)
			}
			return false
		},
	}
	l, err := New(h)
	if err != nil {
		t.Fatal(err)
	}
	for range events {
		a, b := pair(t)
		if err := l.Add(a, Key{Slot: uint32(a)}, In); err != nil {
			t.Fatal(err)
		}
		Write(b, []byte("x"))
	}
	if err := l.Start(func(err error) { t.Errorf("loop failed: %v", err) }); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	receive(t, done)
	if !lates[events-1] || lates[events] {
		t.Errorf("it was late, by how many of %d are handled: %v", events, lates)
	}
}
