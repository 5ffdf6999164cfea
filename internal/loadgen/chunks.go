package loadgen

import "bytes"

// chunks takes the chunked transfer coding (RFC 9112 section 7.1) off a stream
// that arrives in pieces. It has no pointers; the zero value stands before the
// first chunk, and between two chunks a new one does as well.
type chunks struct {
	left  uint64 // bytes of the chunk still to come
	state chunkState
	any   bool // digits of the size were seen
}

type chunkState uint8

const (
	chunkSize      chunkState = iota // reading the hexadecimal size
	chunkExtension                   // skipping to the end of the size's line
	chunkData
	chunkDataEnd    // the line end behind the data
	chunkTrailer    // at the start of a line behind the last chunk
	chunkInTrailer  // inside such a line
	chunkTrailerEnd // the last line end's second half
	chunkDone
)

// maxChunk keeps the size from running over.
const maxChunk = 1 << 40

// next returns the next piece of the body in p and how much of p was consumed.
// An empty piece: all of p was. A false ok: the coding is broken.
func (c *chunks) next(p []byte) (piece []byte, n int, ok bool) {
	for n < len(p) {
		b := p[n]
		switch c.state {
		case chunkSize:
			d, isHex := hexDigit(b)
			switch {
			case isHex && c.left < maxChunk:
				c.left, c.any = c.left<<4|d, true
			case !isHex && c.any && (b == ';' || b == '\r' || b == ' ' || b == '\t'):
				c.state = chunkExtension
			default:
				return nil, n, false
			}
		case chunkExtension:
			if b == '\n' {
				c.any = false
				c.state = chunkData
				if c.left == 0 {
					c.state = chunkTrailer
				}
			}
		case chunkData:
			k := int(min(uint64(len(p)-n), c.left))
			c.left -= uint64(k)
			if c.left == 0 {
				c.state = chunkDataEnd
			}
			return p[n : n+k], n + k, true
		case chunkDataEnd:
			switch b {
			case '\r':
			case '\n':
				c.state = chunkSize
			default:
				return nil, n, false
			}
		case chunkTrailer:
			c.state = chunkInTrailer
			if b == '\r' {
				c.state = chunkTrailerEnd
			}
		case chunkInTrailer:
			if i := bytes.IndexByte(p[n:], '\n'); i >= 0 {
				n += i
				c.state = chunkTrailer
			} else {
				return nil, len(p), true
			}
		case chunkTrailerEnd:
			if b != '\n' {
				return nil, n, false
			}
			c.state = chunkDone
			return nil, n + 1, true
		case chunkDone:
			return nil, n, true
		}
		n++
	}
	return nil, n, true
}

// idle reports whether the next byte starts a chunk.
func (c *chunks) idle() bool { return c.state == chunkSize && !c.any }

// done reports whether the body has ended.
func (c *chunks) done() bool { return c.state == chunkDone }

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
