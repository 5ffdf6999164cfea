package client

import (
	"bytes"
	"cmp"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/account"
)

// refusals is a loop's part that takes the answers of servers that want no more
// clients, or none of these.
type refusals struct{ l *loop }

// refuse takes an answer that is none of the wire's good ones, of whose body p has arrived: an
// explanation is waited for, unless the answer has ended. A client that is asked to retry later
// does so, as a fetch loop or EventSource would.
func (f *refusals) refuse(slot uint32, h head, p []byte, ended bool) {
	said, whole := h.explanation(p)
	if !whole && !ended {
		return
	}
	f.l.foundProxy(h.intermediary())
	why := f.refusal(h, said)
	if after, ok := h.later(time.Now()); ok {
		f.later(slot, why, after)
		return
	}
	f.l.end(slot, why)
}

// refuseEnded does so for a client whose stream ends, or whose time is up,
// before it had a whole answer. False: there was no such answer.
func (f *refusals) refuseEnded(slot uint32) bool {
	s := f.l.heldScratch(slot)
	if s == nil || f.l.clients[slot].state != opening {
		return false
	}
	h, n, ok := parseHead(s.in)
	if !ok || n == 0 || h.status < 400 {
		return false
	}
	f.refuse(slot, h, s.in[n:], true)
	return true
}

// refusal finds the word for an answer: the status with the gateway's words,
// or with where a redirect points to, or with whose answer it is if not the
// gateway's, which are JSON.
func (f *refusals) refusal(h head, said []byte) account.Reason {
	why := account.StatusReason(h.status)
	switch {
	case h.is("application/json"):
	case h.status >= 300 && h.status < 400 && len(h.location) > 0:
		return account.TextReason(string(why)+account.ReasonTo, h.location)
	case h.status < 400:
	case f.l.proxy.name != "":
		return account.TextReason(string(why)+account.ReasonBy, []byte(f.l.proxy.name))
	case h.status >= 502 && h.status <= 504 && h.is("text/html"):
		return why + account.ReasonBy + "a proxy"
	}
	return account.AnswerReason(h.status, string(h.contentType), said)
}

// maxExplanation bounds the body of an answer that is waited for.
const maxExplanation = 4 << 10

// explanation returns the part of an answer's body that may say why, and
// whether that is all.
func (h *head) explanation(p []byte) (said []byte, whole bool) {
	if h.status < 400 || !h.is("application/json") && !h.is("text/plain") {
		return nil, true
	}
	said, whole, ok := h.body(p)
	switch {
	case !ok:
		return nil, true
	case len(said) > maxExplanation:
		return said[:maxExplanation], true
	}
	return said, whole
}

// is reports whether the body is of a type.
func (h *head) is(contentType string) bool {
	return bytes.HasPrefix(bytes.ToLower(h.contentType), []byte(contentType))
}

// later returns the time that an answer wants the client to wait before a retry. RFC 9110
// section 10.2.3: seconds, or a date.
func (h *head) later(now time.Time) (time.Duration, bool) {
	if h.status != http.StatusTooManyRequests && h.status != http.StatusServiceUnavailable || len(h.retryAfter) == 0 {
		return 0, false
	}
	if n, err := strconv.ParseUint(string(h.retryAfter), 10, 32); err == nil {
		return min(time.Duration(n)*time.Second, mostAway*time.Millisecond), true
	}
	if at, err := http.ParseTime(string(h.retryAfter)); err == nil {
		return min(max(at.Sub(now), 0), mostAway*time.Millisecond), true
	}
	return 0, false
}

// later has a client retry after the time that the server wants, and up to half of it more:
// clients that were put off together must not retry together. A client that would take longer
// than a handshake may has failed.
func (f *refusals) later(slot uint32, why account.Reason, after time.Duration) {
	c, s := &f.l.clients[slot], f.l.scratch(slot)
	f.l.counters.Deferred++
	f.l.tallies[account.Deferrals].Add(why, 1)
	after += rand.N(after/2 + time.Millisecond)
	switch {
	case c.state == ready:
		f.l.renew(slot, after)
		return
	case f.l.recovering || f.l.isAway(slot):
		s.after = after
		f.l.end(slot, why)
		return
	}
	if s.first == 0 {
		s.first = s.started
	}
	if f.l.ending || f.l.now+int64(after) > s.first+int64(f.l.plan.Timeout) {
		f.l.end(slot, why)
		return
	}
	f.l.reopenLater(reopen{at: f.l.now + int64(after), due: s.due, slot: slot, first: s.first, kind: putOff, again: s.again, resume: s.resume})
	if c.state < joining {
		f.l.inFlight--
	} else {
		f.l.counters.Open--
	}
	f.l.closeSocket(slot)
	c.state = gone
}

// defaultLater is how long a client waits where the server doesn't say.
const defaultLater = time.Second

// endOfStream takes the end of a client's stream. One that began with a goodbye is the server's
// way to put off an EventSource, which retries after a 200 only.
func (f *refusals) endOfStream(slot uint32, why account.Reason) {
	if s := f.l.heldScratch(slot); s != nil && s.bye && f.l.clients[slot].state == joining {
		f.later(slot, account.ReasonBye, cmp.Or(s.after, s.retry, defaultLater))
		return
	}
	f.l.end(slot, why)
}
