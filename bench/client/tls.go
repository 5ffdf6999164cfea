package client

import (
	"bytes"
	"io"
)

// begin begins what follows the connect: the TLS handshake, or the request.
func (c *Clients) begin(slot uint32, cn *conn) error {
	if c.tls == nil {
		return c.request(slot, cn)
	}
	send, _, _, err := c.tls.Handshake(slot, nil)
	if err == nil {
		err = cn.write(send)
	}
	if err != nil {
		c.tls.Forget(slot) // it begins anew where the connection wasn't made yet
		return err
	}
	cn.phase = phaseSecure
	return nil
}

// decrypt takes bytes of the socket, behind the start of a record, and returns their data: none in
// the middle of the handshake or of a record.
func (c *Clients) decrypt(slot uint32, cn *conn, p []byte) ([]byte, error) {
	delete(c.sealed, slot)
	if cn.phase == phaseSecure {
		send, rest, done, err := c.tls.Handshake(slot, p)
		if err == nil && len(send) > 0 {
			err = cn.write(send)
		}
		if err == nil && done {
			err = c.request(slot, cn)
		}
		if err != nil || !done {
			return nil, err
		}
		p = rest
	}
	data, rest, err := c.tls.Open(slot, p)
	if err == io.EOF && len(data) > 0 {
		err = nil // the socket's end follows
	}
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		c.sealed[slot] = bytes.Clone(rest)
	}
	owed, err := c.tls.Owed(slot)
	if err == nil && len(owed) > 0 {
		err = cn.write(owed)
	}
	return data, err
}

// send hands all of p to the kernel, in records where the server speaks TLS.
func (c *Clients) send(slot uint32, p []byte) error {
	if c.tls != nil {
		var err error
		if p, err = c.tls.Seal(slot, p); err != nil {
			return err
		}
	}
	return c.conns[slot].write(p)
}

// forget ends the TLS side of a connection.
func (c *Clients) forget(slot uint32) {
	if c.tls != nil {
		c.tls.Forget(slot)
		delete(c.sealed, slot)
	}
}
