package limit

import (
	"time"

	"github.com/pushgate/pushgate/gateway/internal/slab"
)

// ClientRates are the rates of one client.
type ClientRates struct {
	Messages  Rate // and requests
	Publishes Rate
	Channels  Rate // that may be new
}

// Clients is what each client of a loop may still do. It knows them by their slot; one has an entry
// only while a rate is set and it sends.
type Clients struct {
	Started time.Time // of the server
	Rates   ClientRates

	of slab.Sparse[allowances]
}

// allowances are a client's.
type allowances struct {
	messages   Allowance
	publishes  Allowance
	channels   Allowance
	strikes    uint8 // messages over the rate since it last rested
	preflights uint8 // since its last request
}

const (
	// MaxStrikes is the number of messages over the rate that get an error before the client is
	// closed. A client that lets its allowance refill starts anew.
	MaxStrikes = 20
	// MaxPreflights is the number of CORS preflights in a row that a client may send on one
	// connection while a rate of messages is set.
	MaxPreflights = 20
)

// Uptime is the time since the server's start.
func (t *Clients) Uptime() time.Duration { return time.Since(t.Started) }

// Clear forgets a client.
func (t *Clients) Clear(i uint32) { t.of.Clear(i) }

// Message charges the client for a message, ping, unsolicited pong or request, and reports whether
// it is within its rate. age is its connection's: the first request is charged with the second,
// since most clients never send another, and need no entry.
func (t *Clients) Message(i uint32, age time.Duration) bool {
	rate := t.Rates.Messages
	if !rate.IsSet() {
		return true
	}
	c := t.of.At(i)
	if c.messages == 0 && c.preflights == 0 && !rate.Refills(age) {
		c.messages.Take(rate, max(0, t.Uptime()-age))
	}
	c.preflights = 0
	ok, rested := c.messages.Take(rate, t.Uptime())
	if rested {
		c.strikes = 0
	}
	return ok
}

// Strike notes a message over the rate, and reports whether the client ignores its errors.
func (t *Clients) Strike(i uint32) (out bool) {
	c := t.of.At(i)
	c.strikes++
	return c.strikes > MaxStrikes
}

// Preflight notes a CORS preflight, and reports whether the client's connection is to be closed
// after it.
func (t *Clients) Preflight(i uint32) (last bool) {
	if !t.Rates.Messages.IsSet() {
		return false
	}
	c := t.of.At(i)
	c.preflights++
	return c.preflights >= MaxPreflights
}

// Publish charges the client for a publish, and reports whether it is within its rate.
func (t *Clients) Publish(i uint32) bool {
	if !t.Rates.Publishes.IsSet() {
		return true
	}
	ok, _ := t.of.At(i).publishes.Take(t.Rates.Publishes, t.Uptime())
	return ok
}

// MayOpen reports whether the client may subscribe to n channels that may be new.
func (t *Clients) MayOpen(i uint32, n int) bool {
	c := t.of.Get(i)
	return !t.Rates.Channels.IsSet() || c == nil || c.channels.Has(t.Rates.Channels, n, t.Uptime())
}

// Opened charges the client for a new channel.
func (t *Clients) Opened(i uint32) {
	if t.Rates.Channels.IsSet() {
		t.of.At(i).channels.Take(t.Rates.Channels, t.Uptime())
	}
}

// Sends reports whether the client was charged for a message, for tests.
func (t *Clients) Sends(i uint32) bool {
	c := t.of.Get(i)
	return c != nil && c.messages != 0
}
