package loadgen

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
)

// Stamp is what a message carries about itself. Times are nanoseconds since
// the epoch, read from one monotonic clock.
type Stamp struct {
	Channel uint32 // the run's number for it
	Seq     uint32 // of the channel, from 1
	Due     int64  // when the open model wanted it sent
	Sent    int64  // when it was handed to Redis
}

// A payload is one JSON object, of which a receiver finds the parts by their
// place and needs no JSON parser. The stamp's numbers are 24 bytes in base64,
// so that a payload of 64 bytes has room for them:
//
//	{"run":"1f2e3d4c","at":"AAAAEQAAACoYCoc3cxdLhxgKhzdzGEqvxx"}
const (
	stampRun = `{"run":"`
	stampAt  = `","at":"`
	stampEnd = `"}`

	runLength   = 8
	stampLength = 4 + 4 + 8 + 8
	stampText   = stampLength / 3 * 4
)

var stampCoding = base64.RawURLEncoding

// minPayload is the length of a payload without padding.
const minPayload = len(stampRun) + runLength + len(stampAt) + stampText + len(stampEnd)

// appendPayload appends a payload of size bytes, at least minPayload.
func appendPayload(dst []byte, run string, s Stamp, size int) []byte {
	dst = append(dst, stampRun...)
	dst = append(dst, run...)
	dst = s.appendText(append(dst, stampAt...))
	for range size - minPayload {
		dst = append(dst, 'x')
	}
	return append(dst, stampEnd...)
}

// appendText appends the stamp's numbers as stampText bytes.
func (s Stamp) appendText(dst []byte) []byte {
	var b [stampLength]byte
	binary.BigEndian.PutUint32(b[0:], s.Channel)
	binary.BigEndian.PutUint32(b[4:], s.Seq)
	binary.BigEndian.PutUint64(b[8:], uint64(s.Due))
	binary.BigEndian.PutUint64(b[16:], uint64(s.Sent))
	return stampCoding.AppendEncode(dst, b[:])
}

// readStamp reads them; false where they are damaged.
func readStamp(text []byte) (s Stamp, ok bool) {
	var b [stampLength]byte
	if n, err := stampCoding.Decode(b[:], text); err != nil || n < stampLength {
		return Stamp{}, false
	}
	s = Stamp{
		Channel: binary.BigEndian.Uint32(b[0:]),
		Seq:     binary.BigEndian.Uint32(b[4:]),
		Due:     int64(binary.BigEndian.Uint64(b[8:])),
		Sent:    int64(binary.BigEndian.Uint64(b[16:])),
	}
	return s, s.Due >= 0 && s.Sent >= 0
}

// stampResult says what a search for a stamp met.
type stampResult uint8

const (
	stampNone    stampResult = iota // no payload of a load generator
	stampForeign                    // of another run
	stampBad                        // of this run, but damaged
	stampFound
)

// findStamp returns the first stamp in p and the rest of p behind it.
func findStamp(p []byte, run string) (s Stamp, rest []byte, r stampResult) {
	i := bytes.Index(p, []byte(stampRun))
	if i < 0 {
		return Stamp{}, nil, stampNone
	}
	p = p[i+len(stampRun):]
	if len(p) < runLength {
		return Stamp{}, nil, stampBad
	}
	id := p[:runLength]
	p = p[runLength:]
	if string(id) != run {
		return Stamp{}, p, stampForeign
	}
	rest = p
	text, ok := bytes.CutPrefix(p, []byte(stampAt))
	if !ok || len(text) < stampText {
		return Stamp{}, rest, stampBad
	}
	text, p = text[:stampText], text[stampText:]
	if s, ok = readStamp(text); !ok {
		return Stamp{}, rest, stampBad
	}
	return s, p, stampFound
}
