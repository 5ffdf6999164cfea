package loadgen

import (
	"bytes"
	"strconv"
)

// Stamp is what a message carries about itself. Times are nanoseconds since
// the epoch, read from one monotonic clock.
type Stamp struct {
	Channel uint32 // the run's number for it
	Seq     uint32 // of the channel, from 1
	Due     int64  // when the open model wanted it sent
	Sent    int64  // when it was handed to Redis
}

// A payload is one JSON object with a fixed order of keys and no blanks, so
// that a receiver finds the numbers by their place and needs no JSON parser:
//
//	{"run":"1f2e3d4c","ch":17,"seq":42,"due":1732345678901234567,"sent":1732345678901299887,"pad":"xx"}
const (
	stampRun  = `{"run":"`
	stampCh   = `","ch":`
	stampSeq  = `,"seq":`
	stampDue  = `,"due":`
	stampSent = `,"sent":`
	stampPad  = `,"pad":"`
	stampEnd  = `"}`

	runLength = 8
)

// minPayload is the length of a payload without padding and with the longest
// numbers.
const minPayload = len(stampRun) + runLength + len(stampCh) + 10 + len(stampSeq) + 10 +
	len(stampDue) + 19 + len(stampSent) + 19 + len(stampPad) + len(stampEnd)

// appendPayload appends a payload of size bytes, at least minPayload.
func appendPayload(dst []byte, run string, s Stamp, size int) []byte {
	start := len(dst)
	dst = append(dst, stampRun...)
	dst = append(dst, run...)
	dst = append(dst, stampCh...)
	dst = strconv.AppendUint(dst, uint64(s.Channel), 10)
	dst = append(dst, stampSeq...)
	dst = strconv.AppendUint(dst, uint64(s.Seq), 10)
	dst = append(dst, stampDue...)
	dst = strconv.AppendInt(dst, s.Due, 10)
	dst = append(dst, stampSent...)
	dst = strconv.AppendInt(dst, s.Sent, 10)
	dst = append(dst, stampPad...)
	for pad := size - (len(dst) - start) - len(stampEnd); pad > 0; pad-- {
		dst = append(dst, 'x')
	}
	return append(dst, stampEnd...)
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
	var ch, seq, due, sent uint64
	ok := number(&p, stampCh, &ch, 1<<32-1) && number(&p, stampSeq, &seq, 1<<32-1) &&
		number(&p, stampDue, &due, 1<<63-1) && number(&p, stampSent, &sent, 1<<63-1) &&
		bytes.HasPrefix(p, []byte(stampPad))
	if !ok {
		return Stamp{}, rest, stampBad
	}
	return Stamp{Channel: uint32(ch), Seq: uint32(seq), Due: int64(due), Sent: int64(sent)}, p, stampFound
}

// number takes key and the digits behind it off p.
func number(p *[]byte, key string, v *uint64, most uint64) bool {
	s := *p
	if len(s) <= len(key) || string(s[:len(key)]) != key {
		return false
	}
	s = s[len(key):]
	var n uint64
	i := 0
	for ; i < len(s) && i < 20 && '0' <= s[i] && s[i] <= '9'; i++ {
		d := uint64(s[i] - '0')
		if n > (most-d)/10 {
			return false
		}
		n = n*10 + d
	}
	*p, *v = s[i:], n
	return i > 0
}
