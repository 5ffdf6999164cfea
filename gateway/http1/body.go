package http1

// Limits of the chunked coding. Eight digits of size are far beyond any limit
// the gateway sets, and extensions and trailers mean nothing to it.
const (
	maxSizeDigits = 8
	maxSpare      = 1024 // bytes of all extensions and trailers of one body
)

// Body decodes the body of one request. It is a small value without pointers
// that can be kept between reads, and it never looks beyond the body's end.
type Body struct {
	left   int64  // bytes still to come, of the body or of the present chunk
	room   int64  // bytes that later chunks may still hold
	spare  uint16 // bytes that extensions and trailers may still take
	digits uint8  // digits of the present chunk size
	state  bodyState
}

type bodyState uint8

const (
	bodyDone bodyState = iota
	bodyPlain
	bodyFailed

	chunkSize
	chunkExtension
	chunkSizeLF
	chunkData
	chunkDataCR
	chunkDataLF
	trailerStart
	trailerName
	trailerValue
	trailerLF
	finalLF
)

// Body returns the decoder for the body that follows the head; without a body
// it is done from the start. A body known to be longer than limit bytes is
// refused now, a chunked one when it gets there.
func (r *Request) Body(limit int64) (Body, error) {
	switch {
	case r.Chunked:
		return Body{room: limit, spare: maxSpare, state: chunkSize}, nil
	case r.ContentLength > limit:
		return Body{state: bodyFailed}, errBodySize
	case r.ContentLength > 0:
		return Body{left: r.ContentLength, state: bodyPlain}, nil
	}
	return Body{}, nil
}

// Next decodes from p, the bytes that follow those consumed so far. It
// consumes n bytes and returns at most one piece of data, which points into p.
// The body is complete when done is true; p[n:] then belongs to the next
// request. Otherwise call it again with the rest of p as long as there is any.
// After an error the connection must be closed.
func (b *Body) Next(p []byte) (data []byte, n int, done bool, err error) {
	for {
		switch b.state {
		case bodyDone:
			return nil, n, true, nil
		case bodyFailed:
			return nil, n, false, errChunk
		case bodyPlain, chunkData:
			if n == len(p) {
				return nil, n, false, nil
			}
			size := int(min(b.left, int64(len(p)-n)))
			data = p[n : n+size]
			b.left -= int64(size)
			if b.left == 0 {
				if b.state == bodyPlain {
					b.state = bodyDone
				} else {
					b.state = chunkDataCR
				}
			}
			return data, n + size, b.state == bodyDone, nil
		}
		if n == len(p) {
			return nil, n, false, nil
		}
		if err := b.frame(p[n]); err != nil {
			b.state = bodyFailed
			return nil, n, false, err
		}
		n++
	}
}

// Done reports whether the body is complete.
func (b *Body) Done() bool { return b.state == bodyDone }

// frame takes one byte that is not data (RFC 9112 7.1).
func (b *Body) frame(c byte) error {
	switch b.state {
	case chunkSize:
		return b.size(c)
	case chunkExtension:
		if c == '\r' {
			b.state = chunkSizeLF
			return nil
		}
		return b.skip(c, isValue)
	case chunkSizeLF:
		b.digits = 0
		if b.left == 0 {
			return b.expect(c, '\n', trailerStart)
		}
		b.room -= b.left
		return b.expect(c, '\n', chunkData)
	case chunkDataCR:
		return b.expect(c, '\r', chunkDataLF)
	case chunkDataLF:
		return b.expect(c, '\n', chunkSize)
	case trailerStart:
		if c == '\r' {
			b.state = finalLF
			return nil
		}
		b.state = trailerName
		return b.skip(c, isToken)
	case trailerName:
		if c == ':' {
			b.state = trailerValue
			return nil
		}
		return b.skip(c, isToken)
	case trailerValue:
		if c == '\r' {
			b.state = trailerLF
			return nil
		}
		return b.skip(c, isValue)
	case trailerLF:
		return b.expect(c, '\n', trailerStart)
	case finalLF:
		return b.expect(c, '\n', bodyDone)
	}
	return errChunk
}

// size takes one byte of the chunk size or the one after it. The limit is
// applied to each digit, before any of the chunk has to be held.
func (b *Body) size(c byte) error {
	if classes[c]&isHex != 0 {
		if b.digits == maxSizeDigits {
			return errChunk
		}
		b.digits++
		b.left = b.left<<4 | int64(unhex(c))
		if b.left > b.room {
			return errBodySize
		}
		return nil
	}
	switch {
	case b.digits == 0:
		return errChunk
	case c == '\r':
		b.state = chunkSizeLF
	case c == ';':
		b.state = chunkExtension
	default:
		return errChunk
	}
	return nil
}

// skip passes over a byte of an extension or a trailer.
func (b *Body) skip(c byte, class uint8) error {
	if classes[c]&class == 0 {
		return errChunk
	}
	if b.spare == 0 {
		return errChunkSpare
	}
	b.spare--
	return nil
}

func (b *Body) expect(c, want byte, next bodyState) error {
	if c != want {
		return errChunk
	}
	b.state = next
	return nil
}
