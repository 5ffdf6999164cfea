package tlsclient

import (
	"crypto/tls"
	"errors"

	"github.com/pushgate/pushgate/internal/tlsrecord"
)

// Conns are the connections of one loop's clients, by slot. Only the loop's goroutine may use them.
// Bytes that a method returns to be sent are good until the next call.
type Conns struct {
	// Immutable
	config *tls.Config

	// Owned by the loop
	layer      tlsrecord.Layer
	states     []tlsrecord.State          // by slot, valid after the handshake
	wide       map[uint32]*tlsrecord.Wide // of the states that need one
	handshakes map[uint32]*handshake      // in progress
	out        []byte                     // to be sent
}

// New returns room for n connections that use config, except for its suites of TLS 1.2: it offers
// those with an AEAD. No session is resumed.
func New(config *tls.Config, n int) *Conns {
	config = config.Clone()
	config.CipherSuites = tlsrecord.Suites12
	return &Conns{
		config: config, states: make([]tlsrecord.State, n),
		wide: map[uint32]*tlsrecord.Wide{}, handshakes: map[uint32]*handshake{},
	}
}

// Open opens the whole records at the front of p, in place. It returns their data and the start of
// an incomplete record, which belongs in front of the next bytes. The error is io.EOF behind the
// server's close_notify; otherwise AlertFor has the alert to send. Data before an error is good.
func (c *Conns) Open(slot uint32, p []byte) (data, rest []byte, err error) {
	return c.layer.Receive(p, &c.states[slot], c.wideOf(slot))
}

// Seal returns p in records. After an error the connection is of no more use.
func (c *Conns) Seal(slot uint32, p []byte) ([]byte, error) {
	c.out = c.out[:0]
	for len(p) > 0 {
		var n int
		var err error
		if c.out, n, err = c.layer.AppendData(c.out, &c.states[slot], c.wideOf(slot), [][]byte{p}, 0); err != nil {
			return nil, err
		}
		p = p[n:]
	}
	return c.out, nil
}

// Owed returns the answer to the server's request for a key update, empty if there was none since
// the last record was sealed.
func (c *Conns) Owed(slot uint32) ([]byte, error) {
	if !c.states[slot].Owes() {
		return nil, nil
	}
	out, err := c.layer.AppendOwed(c.out[:0], &c.states[slot], c.wideOf(slot))
	c.out = out
	return out, err
}

// AlertFor returns the alert that tells the server of the fault that Open has found, empty if it
// found none.
func (c *Conns) AlertFor(slot uint32, fault error) []byte {
	var alert tlsrecord.Alert
	if !errors.As(fault, &alert) {
		return nil
	}
	out, err := c.layer.AppendAlert(c.out[:0], &c.states[slot], c.wideOf(slot), alert)
	if err != nil {
		return nil
	}
	c.out = out
	return out
}

// Forget ends a connection, or its handshake.
func (c *Conns) Forget(slot uint32) {
	if h := c.handshakes[slot]; h != nil {
		delete(c.handshakes, slot)
		h.stop()
	}
	delete(c.wide, slot)
	c.states[slot] = tlsrecord.State{}
}

// wideOf returns the rest of a state; nil for most.
func (c *Conns) wideOf(slot uint32) *tlsrecord.Wide {
	if !c.states[slot].IsWide() {
		return nil
	}
	return c.wide[slot]
}
