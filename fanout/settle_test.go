package fanout

import (
	"errors"
	"slices"
	"testing"
)

// confirmNext subscribes to the topic that is wanted, as the server confirms it.
func (l *link) confirmNext() []unsettled {
	names, _ := l.nextBatch()
	for _, name := range names {
		l.subscribed(name)
	}
	return l.takeConfirmed()
}

// A plain message that was held when the connection was lost may have been the
// first of its channel.
func TestHeldPlainMessageIsLost(t *testing.T) {
	b, l := offline(t, DefaultConfig())
	r := newRecorder()
	join(b, "news", r)
	l.settleAll(l.confirmNext(), []page{{complete: true}})
	l.message("push:news", "\x1e1-1\x1eone")
	l.lost(errors.New("once"))
	l.confirmNext()
	l.message("push:news", "held")
	l.lost(errors.New("twice"))
	l.settleAll(l.confirmNext(), []page{{tail: streamID{1, 1}, complete: true}})
	if got := r.texts("news"); !slices.Equal(got, []string{"joined", "one", "gap:broker"}) {
		t.Errorf("got %v", got)
	}
}
