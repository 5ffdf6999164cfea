package gateway

import (
	"time"

	"github.com/pushgate/pushgate/gateway/internal/conn"
	"github.com/pushgate/pushgate/gateway/internal/limit"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// codeRateLimited is the error code for a message over a rate.
const codeRateLimited = "rate_limited"

// clientRates is the remaining allowance of a client. It exists only while a rate is configured,
// and the client sends.
type clientRates struct {
	messages  limit.Allowance
	publishes limit.Allowance
	channels  limit.Allowance // of new channels
	strikes   uint8           // messages over the rate since it last rested

	preflights uint8 // since its last request
}

// maxStrikes is the number of messages over the rate that get an error before the client is closed.
// A client that lets its allowance refill starts anew.
const maxStrikes = 20

// withinRate charges the client for a message, ping, unsolicited pong, or request.
func (s *shard) withinRate(i uint32) bool {
	if !s.cfg.messageRate.IsSet() {
		return true
	}
	t := s.rates.At(i)
	if t.messages == 0 && t.preflights == 0 {
		// The first request is charged with the second: most clients never send another, and need
		// no clientRates.
		if age := time.Duration(s.conns.Now()-s.conns.Born(i)) * conn.Tick; !s.cfg.messageRate.Refills(age) {
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

// tooFast drops a message over the client's rate, and closes a client that ignores its errors.
func (s *shard) tooFast(i uint32, c *client, cmd *command) {
	s.stats.rejects[reasons.RejectMessageRate]++
	t := s.rates.At(i)
	if t.strikes++; t.strikes > maxStrikes {
		s.end(i, c, reasons.CloseRate)
		return
	}
	s.refuseCommand(i, c, cmd, codeRateLimited, "too many messages: this one was dropped")
}

// mayPublishNow charges a message to the publish rates of the client and of all clients together.
func (s *shard) mayPublishNow(i uint32) bool {
	if one := s.cfg.publishRate; one.IsSet() {
		if ok, _ := s.rates.At(i).publishes.Take(one, s.uptime()); !ok {
			return false
		}
	}
	return s.take(&s.srv.publishes, s.cfg.totalPublishRate)
}

// take takes a token from a bucket shared by all shards, if there is a rate.
func (s *shard) take(b *limit.Bucket, r limit.Rate) bool {
	return !r.IsSet() || b.Take(r, s.uptime())
}

// uptime is the time since the server's start.
func (s *shard) uptime() time.Duration { return time.Since(s.srv.net.Started) }
