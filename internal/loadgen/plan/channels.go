package plan

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/pushgate/pushgate/internal/units"
)

// MaxChannelName is the wire's limit on a channel's name in bytes.
const MaxChannelName = 200

// maxSpread bounds the channels of one template.
const maxSpread = 1 << 24

// Channels says which client subscribes to which channels. Every template gives each
// client one channel, so all clients have the same number of subscriptions;
// names are computed, never stored.
//
//	news            one channel for all
//	room.%d{1000}   1000 channels, client i in room.(i mod 1000)
//	user.%i         a channel of its own for each client
type Channels struct {
	templates []template
	total     uint32
}

// template makes the channels base to base+count-1.
type template struct {
	before, after string
	base, count   uint32
	literal       bool
}

// ParseChannels reads comma separated templates for a number of clients.
func ParseChannels(list string, clients int) (Channels, error) {
	var c Channels
	for text := range strings.SplitSeq(list, ",") {
		text = strings.TrimSpace(text)
		t, err := parseTemplate(text, clients)
		if err != nil {
			return Channels{}, fmt.Errorf("%q: %w", text, err)
		}
		if uint64(c.total)+uint64(t.count) > math.MaxUint32 {
			return Channels{}, fmt.Errorf("%q: too many channels", text)
		}
		t.base = c.total
		c.total += t.count
		for i := range c.templates {
			if name, ok := common(&c.templates[i], &t); ok {
				return Channels{}, fmt.Errorf("%q: %q stands in an earlier template too", text, name)
			}
		}
		c.templates = append(c.templates, t)
	}
	return c, nil
}

func parseTemplate(text string, clients int) (template, error) {
	before, rest, ok := strings.Cut(text, "%")
	t := template{before: before, count: 1, literal: !ok}
	switch {
	case !ok:
	case strings.HasPrefix(rest, "i"):
		t.after, t.count = rest[1:], uint32(clients)
	case strings.HasPrefix(rest, "d{"):
		digits, after, closed := strings.Cut(rest[2:], "}")
		n, err := units.ParseCount(digits)
		if !closed || err != nil || n == 0 || n > maxSpread {
			return t, fmt.Errorf("want a count of 1 to %d, as in %%d{1000} or %%d{10k}", maxSpread)
		}
		t.after, t.count = after, uint32(n)
	default:
		return t, fmt.Errorf("want %%i or %%d{COUNT} after the percent sign")
	}
	longest := string(t.appendName(nil, t.count-1))
	if len(longest) == 0 || len(longest) > MaxChannelName {
		return t, fmt.Errorf("a channel's name has 1 to %d bytes", MaxChannelName)
	}
	for _, b := range []byte(longest) {
		if !channelByte(b) {
			return t, fmt.Errorf("%q is not allowed in a channel's name", b)
		}
	}
	return t, nil
}

// channelByte reports whether the wire allows b in a channel's name.
func channelByte(b byte) bool {
	switch {
	case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9':
		return true
	}
	return strings.IndexByte("_-.:/@=~!$+#", b) >= 0
}

// common finds a name that both templates make; a message on such a channel would be ambiguous.
// It walks the smaller one.
func common(a, b *template) (string, bool) {
	if a.count > b.count {
		a, b = b, a
	}
	for k := range a.count {
		if name := string(a.appendName(nil, k)); b.makes(name) {
			return name, true
		}
	}
	return "", false
}

func (t *template) appendName(dst []byte, k uint32) []byte {
	dst = append(dst, t.before...)
	if !t.literal {
		dst = strconv.AppendUint(dst, uint64(k), 10)
	}
	return append(dst, t.after...)
}

func (t *template) makes(name string) bool {
	if t.literal {
		return name == t.before
	}
	digits, ok := strings.CutPrefix(name, t.before)
	if !ok {
		return false
	}
	if digits, ok = strings.CutSuffix(digits, t.after); !ok {
		return false
	}
	k, err := strconv.ParseUint(digits, 10, 32)
	return err == nil && uint32(k) < t.count && strconv.FormatUint(k, 10) == digits
}

// PerClient returns the number of subscriptions of each client.
func (c *Channels) PerClient() int { return len(c.templates) }

// Total returns the number of channels; they are numbered from 0.
func (c *Channels) Total() uint32 { return c.total }

// Of returns the k-th channel of a client.
func (c *Channels) Of(client uint32, k int) uint32 {
	t := &c.templates[k]
	return t.base + client%t.count
}

// Find returns which of a client's subscriptions a channel is.
func (c *Channels) Find(client, channel uint32) (k int, ok bool) {
	for k := range c.templates {
		if c.Of(client, k) == channel {
			return k, true
		}
	}
	return 0, false
}

// AppendName appends a channel's name.
func (c *Channels) AppendName(dst []byte, channel uint32) []byte {
	for k := len(c.templates) - 1; k >= 0; k-- {
		if t := &c.templates[k]; channel >= t.base {
			return t.appendName(dst, channel-t.base)
		}
	}
	return dst
}

// appendQuery appends the names of a client's channels for a URL's query.
func (c *Channels) appendQuery(dst []byte, client uint32) []byte {
	var name [MaxChannelName]byte
	for k := range c.templates {
		if k > 0 {
			dst = append(dst, ',')
		}
		dst = AppendEscaped(dst, c.AppendName(name[:0], c.Of(client, k)))
	}
	return dst
}

// AppendEscaped appends s with the characters that mean something in a query
// percent-encoded.
func AppendEscaped(dst, s []byte) []byte {
	const hex = "0123456789ABCDEF"
	for _, b := range s {
		switch {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9',
			strings.IndexByte("_-.~:/@!$", b) >= 0:
			dst = append(dst, b)
		default:
			dst = append(dst, '%', hex[b>>4], hex[b&15])
		}
	}
	return dst
}
