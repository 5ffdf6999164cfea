// Package chunked takes the chunked transfer coding (RFC 9112 section 7.1) off a stream that
// arrives in pieces, for readers that don't block.
package chunked

import "bytes"

// Decoder takes one stream apart. It has no pointers; the zero value stands
// before the first chunk, and between two chunks a new one does as well.
type Decoder struct {
	left  uint64 // unread bytes of the chunk
	state state
	any   bool // digits of the size were seen
}

type state uint8

const (
	atSize      state = iota // reading the hexadecimal size
	atExtension              // skipping to the end of the size's line
	atData
	atDataEnd    // the line end behind the data
	atTrailer    // at the start of a line behind the last chunk
	atInTrailer  // inside such a line
	atTrailerEnd // the last line end's second half
	atDone
)

// maxChunk keeps the size from running over.
const maxChunk = 1 << 40

// Next returns the next piece of the body in p and how much of p was consumed.
// An empty piece: all of p was. A false ok: the coding is broken.
func (d *Decoder) Next(p []byte) (piece []byte, n int, ok bool) {
	for n < len(p) {
		b := p[n]
		switch d.state {
		case atSize:
			digit, isHex := hexDigit(b)
			switch {
			case isHex && d.left < maxChunk:
				d.left, d.any = d.left<<4|digit, true
			case !isHex && d.any && (b == ';' || b == '\r' || b == ' ' || b == '\t'):
				d.state = atExtension
			default:
				return nil, n, false
			}
		case atExtension:
			if b == '\n' {
				d.any = false
				d.state = atData
				if d.left == 0 {
					d.state = atTrailer
				}
			}
		case atData:
			k := int(min(uint64(len(p)-n), d.left))
			d.left -= uint64(k)
			if d.left == 0 {
				d.state = atDataEnd
			}
			return p[n : n+k], n + k, true
		case atDataEnd:
			switch b {
			case '\r':
			case '\n':
				d.state = atSize
			default:
				return nil, n, false
			}
		case atTrailer:
			d.state = atInTrailer
			if b == '\r' {
				d.state = atTrailerEnd
			}
		case atInTrailer:
			if i := bytes.IndexByte(p[n:], '\n'); i >= 0 {
				n += i
				d.state = atTrailer
			} else {
				return nil, len(p), true
			}
		case atTrailerEnd:
			if b != '\n' {
				return nil, n, false
			}
			d.state = atDone
			return nil, n + 1, true
		case atDone:
			return nil, n, true
		}
		n++
	}
	return nil, n, true
}

// Idle reports whether the next byte starts a chunk.
func (d *Decoder) Idle() bool { return d.state == atSize && !d.any }

// Done reports whether the body has ended.
func (d *Decoder) Done() bool { return d.state == atDone }

func hexDigit(b byte) (uint64, bool) {
	switch {
	case '0' <= b && b <= '9':
		return uint64(b - '0'), true
	case 'a' <= b && b <= 'f':
		return uint64(b-'a') + 10, true
	case 'A' <= b && b <= 'F':
		return uint64(b-'A') + 10, true
	}
	return 0, false
}
