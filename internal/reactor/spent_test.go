package reactor

import (
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// While many events wait, the time that a handler had no CPU is left out of Spent.
func TestSpentIsTimeOnTheCPU(t *testing.T) {
	const work, than = 2 * time.Millisecond, 100 * time.Microsecond
	spin := func() {
		for begin := time.Now(); time.Since(begin) < work; {
		}
	}
	sleep := func() { unix.Nanosleep(&unix.Timespec{Nsec: work.Nanoseconds()}, nil) }
	// medianOf returns the Spent of half of the events or less.
	medianOf := func(events int, handle func()) time.Duration {
		h := &recorder{}
		spent := make(chan time.Duration, events)
		l, err := New(h)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		h.ready = func(k Key, _ Events) {
			var p [1]byte
			if Read(int(k.Slot), p[:]); len(spent) < events {
				handle()
				spent <- l.Spent(than)
			}
		}
		for range events {
			a, b := pair(t)
			if err := l.Add(a, Key{Slot: uint32(a)}, In); err != nil {
				t.Fatal(err)
			}
			if _, err := unix.Write(b, []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Start(func(err error) { t.Error(err) }); err != nil {
			t.Fatal(err)
		}
		all := make([]time.Duration, events)
		for n := range all {
			all[n] = receive(t, spent)
		}
		slices.Sort(all)
		return all[events/2]
	}
	// The last busyEvents of a batch are measured by the clock.
	if got := medianOf(4*busyEvents, sleep); got > work/2 {
		t.Errorf("%v of %v without a CPU count", got, work)
	}
	if got := medianOf(4*busyEvents, spin); got < work/2 {
		t.Errorf("%v of %v with a CPU count", got, work)
	}
	if got := medianOf(busyEvents/2, sleep); got < work {
		t.Errorf("the clock tells %v of %v where few events wait", got, work)
	}
}
