package tlsrecord

import (
	"bytes"
	"errors"
)

// A proof counts the records that crypto/tls has sealed under the traffic secret of TLS 1.3, such as
// session tickets: to seal another one under the same number would give the key away. It counts by
// opening them, not by what crypto/tls is known to send.
type proof struct {
	layer  Layer
	opener State // opens the own output, as a client, which keeps the key of its input
	wide   Wide
	n      uint32
}

var (
	errCount   = errors.New("crypto/tls has sent a record that its traffic secret doesn't open")
	errPartial = errors.New("crypto/tls has sent a part of a record")
)

// prove counts the records among written bytes that the traffic secret opens.
func (h *Handshake) prove(p []byte) error {
	secret := h.serverSecret
	if h.client {
		secret = h.clientSecret
	}
	if secret == nil {
		return nil
	}
	f := &h.proof
	if f.opener.suite == 0 {
		u, err := suiteOf(h.suite)
		if err != nil {
			return err
		}
		f.opener.suite, f.opener.flags = u, flagClient
		if err := f.opener.use13(&f.wide, nil, secret); err != nil {
			return err
		}
	}
	for len(p) > 0 {
		n, err := RecordSize(p)
		if err != nil || n == 0 || n > len(p) {
			return errPartial
		}
		if err := f.record(p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// record counts a record if it opens under the next number. Records of the handshake come before
// all of those.
func (f *proof) record(b []byte) error {
	if Type(b[0]) != TypeData {
		return nil
	}
	if _, _, err := f.layer.open(bytes.Clone(b), &f.opener, &f.wide); err != nil {
		if f.n > 0 {
			return errCount
		}
		return nil
	}
	f.n++
	return nil
}
