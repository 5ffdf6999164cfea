package gateway

import "testing"

// An idle client that responds to pings needs no memory for rates, even with the default limits.
func TestIdleClientsHaveNoRates(t *testing.T) {
	s := newStill(t, func(c *Config) { c.Limits = DefaultConfig().Limits })
	p := s.openWebSocket("news")
	c := s.client(p.slot)
	for range 3 {
		c.flags |= flagPinged
		p.send([]byte("\x8a\x80\x00\x00\x00\x00"))
	}
	if s.rates.Get(p.slot) != nil && s.rates.Get(p.slot).messages != 0 {
		t.Error("a pong that was asked for is counted")
	}
	p.send([]byte("\x8a\x80\x00\x00\x00\x00"))
	if s.rates.Get(p.slot) == nil || s.rates.Get(p.slot).messages == 0 {
		t.Error("a pong that nobody asked for is not counted")
	}
}
