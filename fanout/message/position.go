package message

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// errPosition is wrapped by the error for a text that is no position.
var errPosition = errors.New("not a position")

// Position is a place in a channel: a message's, or the one after which to go on. A durable
// position is the message's id in the channel's Redis stream, valid on every node. A plain one
// is the time at which the message reached one node, and means little elsewhere. The zero
// Position is the start of the stream, 0-0, which no message has.
type Position struct {
	// Node names the node of a plain position and is empty for a durable one.
	Node string
	// Ms is the first half of the stream id, 0 for a plain position.
	Ms uint64
	// Seq is the second half of the stream id, or microseconds since 1970: the time at which a
	// plain message arrived, or a little more where several arrived in the same one, so that
	// later ones have higher numbers.
	Seq uint64
}

// ParsePosition reads ms-seq or ~node-seq, each position's only spelling.
func ParsePosition(s string) (Position, error) {
	plain := strings.HasPrefix(s, "~")
	dash := strings.LastIndexByte(s, '-') // a node's name may hold dashes
	if dash < 0 {
		return Position{}, fmt.Errorf("%w: want an id as messages have, 1795508363517-0 or ~node-7, or a cursor", errPosition)
	}
	seq, ok := parsePositionNumber(s[dash+1:])
	if !ok {
		return Position{}, fmt.Errorf("%w: bad number after the dash", errPosition)
	}
	if plain {
		node := s[1:dash]
		if err := ValidNode(node); err != nil {
			return Position{}, fmt.Errorf("%w: %w", errPosition, err)
		}
		return Position{Node: strings.Clone(node), Seq: seq}, nil
	}
	ms, ok := parsePositionNumber(s[:dash])
	if !ok {
		return Position{}, fmt.Errorf("%w: bad number before the dash", errPosition)
	}
	return Position{Ms: ms, Seq: seq}, nil
}

// parsePositionNumber reads digits without sign and leading zeros.
func parsePositionNumber(s string) (n uint64, ok bool) {
	if len(s) == 0 || len(s) > 1 && s[0] == '0' {
		return 0, false
	}
	for i := range len(s) {
		d := uint64(s[i]) - '0'
		if d > 9 || n > (math.MaxUint64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}

// String returns the text that ParsePosition reads.
func (p Position) String() string {
	var buf [maxNodeBytes + 24]byte
	return string(p.AppendTo(buf[:0]))
}

// AppendTo appends the text of p to dst.
func (p Position) AppendTo(dst []byte) []byte {
	if p.Durable() {
		dst = strconv.AppendUint(dst, p.Ms, 10)
	} else {
		dst = append(dst, '~')
		dst = append(dst, p.Node...)
	}
	dst = append(dst, '-')
	return strconv.AppendUint(dst, p.Seq, 10)
}

// IsZero reports whether p is the zero Position.
func (p Position) IsZero() bool { return p == Position{} }

// Durable reports whether p is valid on every node.
func (p Position) Durable() bool { return p.Node == "" }

// Time returns when the message of that position reached Redis, or this node for a plain one,
// in milliseconds since 1970.
func (p Position) Time() uint64 {
	if p.Durable() {
		return p.Ms
	}
	return p.Seq / 1000
}

// StreamID returns a durable position without room for a node's name.
func (p Position) StreamID() StreamID { return StreamID{p.Ms, p.Seq} }

// Less reports whether p is before q. Positions are ordered among the durable ones, or among
// the plain ones of one node; of others neither is less.
func (p Position) Less(q Position) bool {
	if p.Node != q.Node {
		return false
	}
	return p.Ms < q.Ms || p.Ms == q.Ms && p.Seq < q.Seq
}

// StreamID is a durable Position in half of the memory: the id of an entry in a channel's
// Redis stream, with the milliseconds since 1970 first. The zero StreamID is the start of
// the stream.
type StreamID struct{ Ms, Seq uint64 }

// Position returns a as a Position.
func (a StreamID) Position() Position { return Position{Ms: a.Ms, Seq: a.Seq} }

// IsZero reports whether a is the start of the stream.
func (a StreamID) IsZero() bool { return a == StreamID{} }

// Less reports whether a is before b.
func (a StreamID) Less(b StreamID) bool { return a.Ms < b.Ms || a.Ms == b.Ms && a.Seq < b.Seq }

// Before returns the id just before a; the zero id has none and stays.
func (a StreamID) Before() StreamID {
	switch {
	case a.Seq > 0:
		return StreamID{a.Ms, a.Seq - 1}
	case a.Ms > 0:
		return StreamID{a.Ms - 1, 1<<64 - 1}
	}
	return a
}
