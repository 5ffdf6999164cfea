package gateway

import (
	"bytes"
	"strconv"
	"sync"

	"pushgate/gateway/http1"
	"pushgate/internal/reactor"
)

// away are a shard's sockets of clients that were told to come back later. They
// wait for their client to read that: a close with unread input makes the
// kernel reset the connection, and some clients then lose the answer. They have
// no slot, no place in the epoll and no deadline of their own, which is what
// makes turning away cheap: on loopback 12 to 20 us, nearly all of it the
// kernel's for accept, send and close, where letting a client in costs 22 without
// a token and 90 to 110 with a signed one (TestAttackFloodIsCheap).
//
// They are answered when their request is here, within two ticks, or as soon as
// maxMute later ones wait too: who asks for the gateway's health is told it
// however full the gateway is, or a supervisor would end what works at its limit.
type away struct {
	ring  []turned
	first int // index of the oldest
	n     int
	mute  int // of the newest, not answered yet
}

type turned struct {
	reason RejectReason // empty: it asked for the health
	fd     int32
	since  uint32 // tick
}

const (
	// maxAway is the most sockets that wait in one shard.
	maxAway = 1024
	// maxMute is the most of them that wait for their answer.
	maxMute = 16
	// turnAwayTicks is how long each waits where there is room.
	turnAwayTicks = 10
	// retrySeconds is over how many seconds the next tries of those that are
	// turned away are spread.
	retrySeconds = 10
)

// turnAway takes an accepted socket that gets no connection.
func (s *shard) turnAway(fd int, reason RejectReason) {
	a := &s.away
	if a.ring == nil {
		a.ring = make([]turned, maxAway)
	}
	for a.n > 0 && (a.n == len(a.ring) || s.srv.excess.Load() >= s.cfg.maxExcess) {
		s.closeOldest()
	}
	a.ring[(a.first+a.n)%len(a.ring)] = turned{reason, int32(fd), s.now}
	a.n++
	if a.mute++; a.mute > maxMute {
		s.answerAway(true)
	}
	if s.srv.excess.Add(1) > s.cfg.maxExcess {
		s.closeOldest()
	}
}

// answerAway answers the socket that has waited longest for it. False: there is
// no request yet, which is waited for unless must.
func (s *shard) answerAway(must bool) bool {
	a := &s.away
	t := &a.ring[(a.first+a.n-a.mute)%len(a.ring)]
	n, err := reactor.Read(int(t.fd), s.rbuf[:])
	if err == reactor.ErrAgain && !must {
		return false
	}
	a.mute--
	if err == nil {
		s.stats.bytesIn += uint64(n)
		if answer := s.probe(s.rbuf[:n]); answer != nil {
			t.reason = ""
			reactor.WriteLast(int(t.fd), answer)
			return true
		}
	}
	s.stats.rejects[t.reason]++
	s.retry++
	reactor.WriteLast(int(t.fd), turnedAway()[t.reason][s.retry%retrySeconds])
	return true
}

// probe returns the answer to a request for the gateway's health, nil to any
// other.
func (s *shard) probe(data []byte) []byte {
	_, target, _ := bytes.Cut(data, []byte(" "))
	if !bytes.HasPrefix(target, []byte("/healthz")) && !bytes.HasPrefix(target, []byte("/readyz")) {
		return nil
	}
	r := &s.request
	if n, err := r.Parse(data, s.cfg.Limits.HeadBytes); n == 0 || err != nil || !isHealth(r.Path) {
		return nil
	}
	status, body, o := s.healthOf(r.Path)
	o.Close, o.Date, o.NoBody = true, s.date, string(r.Method) == "HEAD"
	return http1.AppendResponse(nil, status, body, o)
}

// closeAway answers and closes the sockets whose time is up.
func (s *shard) closeAway() {
	a := &s.away
	for a.mute > 0 {
		age := s.now - a.ring[(a.first+a.n-a.mute)%len(a.ring)].since
		if age == 0 || !s.answerAway(age > 1) {
			break
		}
	}
	for a.n > 0 && s.now-a.ring[a.first].since >= turnAwayTicks {
		s.closeOldest()
	}
}

// closeAllAway makes room where descriptors have run out before the bound is
// reached: those here have their answer, who comes next would get none.
func (s *shard) closeAllAway() {
	for s.away.n > 0 {
		s.closeOldest()
	}
}

// closeOldest closes the socket that has waited longest.
func (s *shard) closeOldest() {
	a := &s.away
	if a.mute == a.n {
		s.answerAway(true)
	}
	fd, why := int(a.ring[a.first].fd), CloseRejected
	if a.ring[a.first].reason == "" {
		why = CloseAnswered
	}
	a.first = (a.first + 1) % len(a.ring)
	a.n--
	s.srv.excess.Add(-1)
	s.stats.closes[why]++
	n, err := reactor.Read(fd, s.rbuf[:]) // unread, it would make the close a reset
	if err == nil {
		s.stats.bytesIn += uint64(n)
	}
	reactor.CloseFD(fd)
}

// turnedAway are the answers for each reason, made once. They have no Date, as
// RFC 9110 (6.6.1) allows for a 503.
var turnedAway = sync.OnceValue(func() map[RejectReason][retrySeconds][]byte {
	all := make(map[RejectReason][retrySeconds][]byte)
	for reason, err := range overLimit {
		var answers [retrySeconds][]byte
		for i := range answers {
			answers[i] = err.Append(nil, http1.Options{Lines: append(appendRetryAfter(nil, 1+i), "\r\n"...)})
		}
		all[reason] = answers
	}
	return all
})

// overLimit are what clients are told for each limit that is reached.
var overLimit = map[RejectReason]*http1.Error{
	RejectConnections:   {Status: 503, Code: "too_many_connections", Message: "this gateway holds as many connections as it may"},
	RejectAddress:       {Status: 503, Code: "too_many_from_address", Message: "your address holds as many connections as it may"},
	RejectAcceptRate:    {Status: 503, Code: "too_many_connects", Message: "too many clients connect at this moment"},
	RejectHandshakeRate: {Status: 503, Code: "too_many_handshakes", Message: "too many clients connect at this moment"},
	RejectMessageRate:   {Status: 429, Code: codeRateLimited, Message: "too many requests on this connection"},
	RejectPublishRate:   {Status: 429, Code: codeRateLimited, Message: "too many messages are published"},
}

// retryAfter returns the header line that spreads the next tries of those that
// are turned away, without its end.
func (s *shard) retryAfter() []byte {
	s.retry++
	return appendRetryAfter(nil, 1+int(s.retry%retrySeconds))
}

func appendRetryAfter(dst []byte, seconds int) []byte {
	return strconv.AppendInt(append(dst, "Retry-After: "...), int64(seconds), 10)
}

// refuseOver refuses a request over a limit.
func (s *shard) refuseOver(i uint32, c *conn, reason RejectReason) {
	s.refuse(i, c, reason, overLimit[reason], s.retryAfter())
}
