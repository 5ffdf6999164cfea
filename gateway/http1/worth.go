package http1

import "bytes"

const (
	// startBytes is up to where each byte may show that the client speaks another
	// protocol.
	startBytes = 64
	// lineBytes is up to where each line is looked at as soon as it is there; as a
	// head has at most maxFields of them, that is at most 100 times.
	lineBytes = 16 << 10
)

var endOfHead = []byte("\n\r\n")

// Worth reports whether Parse is worth another call for a head that was incomplete
// when parsed of its bytes were there; the last fresh bytes of buf have come since
// Worth was last asked. It looks at those only: a head that comes byte by byte costs
// its bytes, not their square. A whole head is told at once, and one that is too
// long; a bad line is told with its end in the first 16 KiB, and behind these
// when an eighth more has come.
func Worth(buf []byte, fresh, parsed, maxHead int) bool {
	n := len(buf)
	switch {
	case n <= startBytes || n >= maxHead:
		return true
	case bytes.IndexByte(buf[n-fresh:], '\n') < 0:
		return false
	case n <= lineBytes || n-parsed >= parsed/8:
		return true
	}
	return bytes.Contains(buf[max(0, n-fresh-len(endOfHead)+1):], endOfHead)
}
