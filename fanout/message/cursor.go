package message

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
)

const (
	// MaxCursorChannels is the most channels that a cursor's text may hold.
	MaxCursorChannels = 4096
	// maxCursorBytes is the longest text of a cursor that is read.
	maxCursorBytes = 1 + (cursorHeadBytes+MaxCursorChannels*cursorEntryBytes+2)/3*4

	cursorHeadBytes  = 2 + maxNodeBytes + binary.MaxVarintLen64
	cursorEntryBytes = 8 + 1 + 3*binary.MaxVarintLen64

	// cursorMark begins a cursor's text; no position begins so.
	cursorMark = 'c'
	// cursorVersion is the first byte under the base64.
	cursorVersion = 1

	cursorDurable = 1 << 0
	cursorPlain   = 1 << 1
)

// errCursor is wrapped by the error for a text that is no cursor.
var errCursor = errors.New("not a cursor")

var cursorEncoding = base64.RawURLEncoding.Strict()

// Cursor is the exact position of a client that takes its messages by single requests:
// for each of its channels the last durable and the last plain position it has seen. Its
// text is opaque and safe in a query: the letter c and base64url of a version, the node
// that the plain positions belong to, and about 18 bytes for each channel, so that 50
// channels take 1.2 KB and stay far below the limit of a request's head.
//
// Channels are kept as the first 64 bits of the SHA-256 of their name rather than by name.
// Where two names of one cursor collide (once in 10^15 for a hundred channels, and of use to
// nobody: the cursor grants nothing) both channels resume from the older of their positions.
// That repeats messages, recognisable by their ids, and loses none.
//
// The zero Cursor is empty and ready to use. Positions are put in order when the cursor
// is read: to keep them so with each Set takes the square of their number
// (BenchmarkCursor).
type Cursor struct {
	node    string
	entries []cursorEntry // up to sorted by channel, each once, then as they were set
	sorted  int
}

type cursorEntry struct {
	channel uint64
	ms, seq uint64 // with cursorDurable
	plain   uint64 // with cursorPlain
	has     uint8
	order   uint32 // among the unsorted entries

	name   string // the channel that was set; empty as parsed
	shared bool   // two names met here: only older positions are taken
}

// NewCursor returns a cursor with one channel's durable and plain position.
func NewCursor(channel string, durable, plain Position) Cursor {
	return Cursor{node: plain.Node, sorted: 1, entries: []cursorEntry{{
		channel: cursorKey(channel), name: channel,
		ms: durable.Ms, seq: durable.Seq, plain: plain.Seq, has: cursorDurable | cursorPlain,
	}}}
}

// Set makes p the durable or the plain position of a channel. A cursor holds the plain
// positions of one node: one of another node displaces them all.
func (c *Cursor) Set(channel string, p Position) {
	if !p.Durable() && p.Node != c.node {
		c.dropPlain()
		c.node = p.Node
	}
	if n := len(c.entries); n > 0 && c.entries[n-1].name == channel {
		c.entries[n-1].set(channel, p)
		return
	}
	c.entries = append(c.entries, cursorEntry{channel: cursorKey(channel), order: uint32(len(c.entries))})
	c.entries[len(c.entries)-1].set(channel, p)
}

// sort puts the entries in order, and those of one channel together as if each of their
// positions had been set in turn.
func (c *Cursor) sort() {
	if c.sorted == len(c.entries) {
		return
	}
	for i := range c.sorted {
		c.entries[i].order = 0
	}
	slices.SortFunc(c.entries, func(a, b cursorEntry) int {
		return cmp.Or(cmp.Compare(a.channel, b.channel), cmp.Compare(a.order, b.order))
	})
	kept := c.entries[:0]
	for _, e := range c.entries {
		if n := len(kept); n > 0 && kept[n-1].channel == e.channel {
			kept[n-1].merge(&e)
		} else {
			kept = append(kept, e)
		}
	}
	clear(c.entries[len(kept):])
	c.entries, c.sorted = kept, len(kept)
}

// merge sets the positions of a later entry of the same key.
func (e *cursorEntry) merge(later *cursorEntry) {
	if later.has&cursorDurable != 0 {
		e.set(later.name, Position{Ms: later.ms, Seq: later.seq})
	}
	if later.has&cursorPlain != 0 {
		e.set(later.name, Position{Node: "any", Seq: later.plain})
	}
}

func (e *cursorEntry) set(channel string, p Position) {
	if e.name != "" && e.name != channel {
		e.shared = true
	}
	e.name = channel
	if !p.Durable() {
		if !e.shared || e.has&cursorPlain == 0 || p.Seq < e.plain {
			e.plain = p.Seq
		}
		e.has |= cursorPlain
		return
	}
	if !e.shared || e.has&cursorDurable == 0 || p.Less(Position{Ms: e.ms, Seq: e.seq}) {
		e.ms, e.seq = p.Ms, p.Seq
	}
	e.has |= cursorDurable
}

// dropPlain forgets all plain positions.
func (c *Cursor) dropPlain() {
	c.sort()
	for i := range c.entries {
		c.entries[i].has &^= cursorPlain
		c.entries[i].plain = 0
	}
	c.entries = slices.DeleteFunc(c.entries, func(e cursorEntry) bool { return e.has == 0 })
	c.sorted = len(c.entries)
}

// Durable returns the channel's durable position, if the cursor holds one.
func (c *Cursor) Durable(channel string) (Position, bool) {
	e := c.find(channel)
	return Position{Ms: e.ms, Seq: e.seq}, e.has&cursorDurable != 0
}

// Plain returns the channel's plain position, if the cursor holds one. It may be another
// node's.
func (c *Cursor) Plain(channel string) (Position, bool) {
	e := c.find(channel)
	if e.has&cursorPlain == 0 {
		return Position{}, false
	}
	return Position{Node: c.node, Seq: e.plain}, true
}

// Len returns the number of channels.
func (c *Cursor) Len() int {
	c.sort()
	return len(c.entries)
}

// Both returns both of a channel's positions, if the cursor holds them.
func (c *Cursor) Both(channel string) (durable, plain Position, hasDurable, hasPlain bool) {
	e := c.find(channel)
	return Position{Ms: e.ms, Seq: e.seq}, Position{Node: c.node, Seq: e.plain}, e.has&cursorDurable != 0, e.has&cursorPlain != 0
}

// Only returns a cursor with the positions of these channels alone.
func (c *Cursor) Only(channels ...string) Cursor {
	only := Cursor{node: c.node}
	for _, name := range channels {
		if e := c.find(name); e.has != 0 {
			e.order = uint32(len(only.entries))
			only.entries = append(only.entries, e)
		}
	}
	only.sort()
	return only
}

func (c *Cursor) find(channel string) cursorEntry {
	c.sort()
	at, found := slices.BinarySearchFunc(c.entries, cursorKey(channel), compareCursorEntry)
	if !found {
		return cursorEntry{}
	}
	return c.entries[at]
}

func cursorKey(channel string) uint64 {
	sum := sha256.Sum256([]byte(channel))
	return binary.BigEndian.Uint64(sum[:])
}

func compareCursorEntry(e cursorEntry, key uint64) int { return cmp.Compare(e.channel, key) }

// String returns the text that ParseCursor reads.
func (c *Cursor) String() string { return string(c.AppendTo(nil)) }

// AppendTo appends the text of c to dst.
func (c *Cursor) AppendTo(dst []byte) []byte {
	c.sort()
	var few [cursorHeadBytes + 2*cursorEntryBytes]byte // on the stack
	raw := append(few[:0], cursorVersion, byte(len(c.node)))
	raw = append(raw, c.node...)
	raw = binary.AppendUvarint(raw, uint64(len(c.entries)))
	for _, e := range c.entries {
		raw = binary.BigEndian.AppendUint64(raw, e.channel)
		raw = append(raw, e.has)
		if e.has&cursorDurable != 0 {
			raw = binary.AppendUvarint(raw, e.ms)
			raw = binary.AppendUvarint(raw, e.seq)
		}
		if e.has&cursorPlain != 0 {
			raw = binary.AppendUvarint(raw, e.plain)
		}
	}
	return cursorEncoding.AppendEncode(append(dst, cursorMark), raw)
}

// IsCursor reports whether s is meant to be a cursor and not a bare position.
func IsCursor(s string) bool { return strings.HasPrefix(s, string(rune(cursorMark))) }

// ParseCursor reads the text of a cursor. It refuses texts longer than maxCursorBytes
// before it looks at them.
func ParseCursor(s string) (Cursor, error) {
	if len(s) > maxCursorBytes {
		return Cursor{}, fmt.Errorf("%w: %d bytes, want at most %d", errCursor, len(s), maxCursorBytes)
	}
	if !IsCursor(s) {
		return Cursor{}, fmt.Errorf("%w: does not begin with %q", errCursor, cursorMark)
	}
	raw, err := cursorEncoding.DecodeString(s[1:])
	// The decoder skips line breaks, which no cursor has.
	if err != nil || len(raw) < 3 || strings.ContainsAny(s, "\r\n") {
		return Cursor{}, fmt.Errorf("%w: damaged", errCursor)
	}
	if raw[0] != cursorVersion {
		return Cursor{}, fmt.Errorf("%w: version %d, want %d", errCursor, raw[0], cursorVersion)
	}
	r := cursorReader{rest: raw[1:]}
	c := Cursor{node: string(r.bytes(int(r.byte())))}
	if c.node != "" && ValidNode(c.node) != nil {
		return Cursor{}, fmt.Errorf("%w: damaged node name", errCursor)
	}
	count := r.uvarint()
	// An entry takes at least 10 bytes: a count that the text can't hold is refused
	// before memory is spent on it.
	if count > MaxCursorChannels || count > uint64(len(r.rest)/10) {
		return Cursor{}, fmt.Errorf("%w: %d channels", errCursor, count)
	}
	c.entries, c.sorted = make([]cursorEntry, count), int(count)
	for i := range c.entries {
		e := r.entry()
		if i > 0 && e.channel <= c.entries[i-1].channel || e.has&cursorPlain != 0 && c.node == "" {
			r.bad = true
		}
		c.entries[i] = e
	}
	if r.bad || len(r.rest) != 0 {
		return Cursor{}, fmt.Errorf("%w: damaged", errCursor)
	}
	return c, nil
}

// cursorReader takes values off the front of rest and remembers a failure.
type cursorReader struct {
	rest []byte
	bad  bool
}

func (r *cursorReader) bytes(n int) []byte {
	if n > len(r.rest) {
		r.bad, r.rest = true, nil
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *cursorReader) byte() byte {
	b := r.bytes(1)
	if b == nil {
		return 0
	}
	return b[0]
}

func (r *cursorReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	// A last byte of zero is a longer spelling of the same number.
	if n <= 0 || n > 1 && r.rest[n-1] == 0 {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *cursorReader) entry() (e cursorEntry) {
	b := r.bytes(8)
	if b == nil {
		return e
	}
	e.channel = binary.BigEndian.Uint64(b)
	e.has = r.byte()
	if e.has == 0 || e.has&^(cursorDurable|cursorPlain) != 0 {
		r.bad = true
	}
	if e.has&cursorDurable != 0 {
		e.ms, e.seq = r.uvarint(), r.uvarint()
	}
	if e.has&cursorPlain != 0 {
		e.plain = r.uvarint()
	}
	return e
}
