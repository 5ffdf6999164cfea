package gateway

import (
	"time"

	"github.com/pushgate/pushgate/gateway/internal/limit"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// codeRateLimited is what a client is told whose message is over a rate.
const codeRateLimited = "rate_limited"

// clientRates is what a client that talks has left of its rates. It exists only
// while a rate is configured.
type clientRates struct {
	messages  limit.Allowance
	publishes limit.Allowance
	channels  limit.Allowance // new ones
	strikes   uint8           // messages over the rate since it last rested

	preflights uint8 // since its last request
}

// maxStrikes is how many messages over the rate are answered with an error
// before the client is closed. A client that lets its allowance fill up again
// starts anew.
const maxStrikes = 20

// withinRate takes a message, ping, pong that nobody asked for, or request off what the
// client may send.
func (s *shard) withinRate(i uint32) bool {
	if !s.cfg.messageRate.IsSet() {
		return true
	}
	t := s.rates.At(i)
	if t.messages == 0 && t.preflights == 0 {
		// Its first request is counted with what comes next: most clients never
		// send anything else, and need no clientRates.
		if age := time.Duration(s.now-s.conns.at(i).born) * tick; !s.cfg.messageRate.Refills(age) {
			t.messages.Take(s.cfg.messageRate, max(0, s.uptime()-age))
		}
	}
	t.preflights = 0
	ok, rested := t.messages.Take(s.cfg.messageRate, s.uptime())
	if rested {
		t.strikes = 0
	}
	return ok
}

// tooFast drops a message over the client's rate, and ends a client that
// doesn't mind its errors.
func (s *shard) tooFast(i uint32, c *conn, cmd *command) {
	s.stats.rejects[reasons.RejectMessageRate]++
	t := s.rates.At(i)
	if t.strikes++; t.strikes > maxStrikes {
		s.end(i, c, reasons.CloseRate)
		return
	}
	s.refuseCommand(i, c, cmd, codeRateLimited, "too many messages: this one was dropped")
}

// mayPublishNow takes a message off what the client, and all clients together,
// may publish.
func (s *shard) mayPublishNow(i uint32) bool {
	if one := s.cfg.publishRate; one.IsSet() {
		if ok, _ := s.rates.At(i).publishes.Take(one, s.uptime()); !ok {
			return false
		}
	}
	return s.take(&s.srv.publishes, s.cfg.totalPublishRate)
}

// take takes a token of a bucket that all shards share, where there is a rate.
func (s *shard) take(b *limit.Bucket, r limit.Rate) bool {
	return !r.IsSet() || b.Take(r, s.uptime())
}

// uptime is the time since the server's start.
func (s *shard) uptime() time.Duration { return time.Since(s.srv.started) }
