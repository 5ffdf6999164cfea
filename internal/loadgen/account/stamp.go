package account

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
)

// Stamp is a message's data about itself. Times are nanoseconds since
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
	StampRun = `{"run":"`
	stampAt  = `","at":"`
	stampEnd = `"}`

	RunLength   = 8
	stampLength = 4 + 4 + 8 + 8
	stampText   = stampLength / 3 * 4
)

var stampCoding = base64.RawURLEncoding

// MinPayload is the length of a payload without padding.
const MinPayload = len(StampRun) + RunLength + len(stampAt) + stampText + len(stampEnd)

// AppendPayload appends a payload of size bytes, at least minPayload.
func AppendPayload(dst []byte, run string, s Stamp, size int) []byte {
	dst = append(dst, StampRun...)
	dst = append(dst, run...)
	dst = s.appendText(append(dst, stampAt...))
	for range size - MinPayload {
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

// stampResult is the outcome of a search for a stamp.
type stampResult uint8

const (
	StampNone    stampResult = iota // no payload of a load generator
	StampForeign                    // of another run
	StampBad                        // of this run, but damaged
	stampFound
)

// FindStamp returns the first stamp in p and the rest of p behind it.
func FindStamp(p []byte, run string) (s Stamp, rest []byte, r stampResult) {
	i := bytes.Index(p, []byte(StampRun))
	if i < 0 {
		return Stamp{}, nil, StampNone
	}
	p = p[i+len(StampRun):]
	if len(p) < RunLength {
		return Stamp{}, nil, StampBad
	}
	id := p[:RunLength]
	p = p[RunLength:]
	if string(id) != run {
		return Stamp{}, p, StampForeign
	}
	rest = p
	text, ok := bytes.CutPrefix(p, []byte(stampAt))
	if !ok || len(text) < stampText {
		return Stamp{}, rest, StampBad
	}
	text, p = text[:stampText], text[stampText:]
	if s, ok = readStamp(text); !ok {
		return Stamp{}, rest, StampBad
	}
	return s, p, stampFound
}

// A message for a foreign server is a word that needs no escaping wherever it
// may be put, in JSON, a URL or a shell:
//
//	1f2e3d4c.AAAAEQAAACoYCoc3cxdLhxgKhzdzGEqvxx
const foreignDot = '.'

// minForeign is the length of one without padding.
const minForeign = RunLength + 1 + stampText

// AppendForeignPayload appends one of size bytes, at least minForeign.
func AppendForeignPayload(dst []byte, run string, s Stamp, size int) []byte {
	dst = append(append(dst, run...), foreignDot)
	dst = s.appendText(dst)
	return append(dst, bytes.Repeat([]byte("x"), max(size-minForeign, 0))...)
}

// FindForeignStamp returns the first stamp in p, wherever it is, and the rest of
// p behind it.
func FindForeignStamp(p []byte, run string) (s Stamp, rest []byte, r stampResult) {
	for {
		i := bytes.Index(p, []byte(run))
		if i < 0 {
			return Stamp{}, nil, StampNone
		}
		if p = p[i+len(run):]; len(p) > 0 && p[0] == foreignDot {
			break
		}
	}
	p = p[1:]
	if len(p) < stampText {
		return Stamp{}, nil, StampBad
	}
	if s, ok := readStamp(p[:stampText]); ok {
		return s, p[stampText:], stampFound
	}
	return Stamp{}, p, StampBad
}
