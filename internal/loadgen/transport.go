package loadgen

// transport is the client's side of one form of the wire. It keeps nothing per
// client: that is in the loop's slab and scratches. Its methods run on the
// loop's goroutine and must not block.
type transport interface {
	// appendRequest appends the request that opens the client in slot i.
	appendRequest(l *loop, dst []byte, i uint32) []byte
	// received takes the bytes p that came for client i, which belong to the
	// loop. It reports to the loop: opened, confirmed, message, fail, end.
	received(l *loop, i uint32, p []byte)
	// leave begins a polite end of a ready client; the loop waits for the peer
	// to close. False: there is nothing to say, the loop closes at once.
	leave(l *loop, i uint32) bool
}

// speaks returns the transport of a client.
func (l *loop) speaks(slot uint32) transport {
	switch l.plan.kind(l.number(slot)) {
	case SSE:
		return sse{}
	case Poll:
		return poll{}
	}
	return websocket{}
}

// appendGet appends the start of a GET for all of a client's channels, up to
// where more of the query or " HTTP/1.1" follows.
func (p *plan) appendGet(dst []byte, client uint32) []byte {
	if p.Foreign {
		return p.appendPlaced(append(dst, "GET "...), p.path(client), client, 0, true)
	}
	dst = append(p.appendTarget(dst, client), "channels="...)
	return p.channels.appendQuery(dst, client)
}

// appendTarget starts a GET, up to the query.
func (p *plan) appendTarget(dst []byte, client uint32) []byte {
	return append(append(dst, "GET "...), p.path(client)...)
}

// appendFields ends a request's line and starts its fields, the client's token
// among them.
func (p *plan) appendFields(dst []byte, client uint32) []byte {
	return p.appendToken(append(append(dst, " HTTP/1.1\r\n"...), p.fields...), client)
}
