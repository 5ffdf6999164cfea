package fanout

import (
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
	l.lost()
	l.confirmNext()
	l.message("push:news", "held")
	l.lost()
	l.settleAll(l.confirmNext(), []page{{tail: streamID{1, 1}, complete: true}})
	if got := r.texts("news"); !slices.Equal(got, []string{"joined", "one", "gap:broker"}) {
		t.Errorf("got %v", got)
	}
}

// A server that lost its data may begin the streams anew by a clock that is
// behind: what has lower ids than before is no duplicate.
func TestStreamBeginsAnewWithLowerIDs(t *testing.T) {
	b, l := offline(t, DefaultConfig())
	r := newRecorder()
	join(b, "news", r)
	l.settleAll(l.confirmNext(), []page{{complete: true}})
	l.message("push:news", "\x1e9-1\x1eold")
	l.lost()
	l.settleAll(l.confirmNext(), []page{{}})
	for _, m := range []string{"plain", "\x1e5-1\x1enew", "\x1e5-1\x1eagain", "\x1e6-1\x1enewer"} {
		l.message("push:news", m)
	}
	if got := r.texts("news"); !slices.Equal(got, []string{"joined", "old", "gap:history", "plain", "new", "newer"}) {
		t.Errorf("got %v", got)
	}
	_, news := l.topics.find("news")
	if a, ok := l.ask(news, Position{Ms: 5, Seq: 1}); !ok || a.Gap == nil || !slices.Equal(payloads(a.Messages), []string{"newer"}) {
		t.Errorf("from an id that may be of either stream: %+v", a)
	}
	if a, ok := l.ask(news, Position{Ms: 9, Seq: 1}); ok {
		t.Errorf("from an id of the stream before: %+v", a)
	}
}
