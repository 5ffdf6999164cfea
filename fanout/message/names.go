package message

import (
	"errors"
	"fmt"
)

// MaxChannelBytes is the longest channel name.
const MaxChannelBytes = 200

// channelPunctuation is the characters of a channel name besides letters and
// digits. None of it needs escaping in a JSON string, an SSE line or a Redis
// channel name, and the encodings rely on that.
const channelPunctuation = "_-.:/@=~!$+#"

var errChannelEmpty = errors.New("channel name is empty, want 1 to 200 bytes")

// channelBytes marks the bytes that a channel name may hold.
var channelBytes = func() (set [256]bool) {
	for c := range set {
		set[c] = 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
	}
	for _, c := range []byte(channelPunctuation) {
		set[c] = true
	}
	return set
}()

// ValidChannel returns nil for a name that a channel may have, else an error
// that can be shown to the client. It keeps nothing of name.
func ValidChannel(name string) error {
	switch {
	case len(name) == 0:
		return errChannelEmpty
	case len(name) > MaxChannelBytes:
		return fmt.Errorf("channel name has %d bytes, want 1 to %d", len(name), MaxChannelBytes)
	}
	for i := range len(name) {
		if c := name[i]; !channelBytes[c] {
			return fmt.Errorf("channel name holds %q at byte %d, allowed are letters, digits and %s",
				[]byte{c}, i, channelPunctuation)
		}
	}
	return nil
}

// MaxNodeBytes is the longest name of a node.
const MaxNodeBytes = 64

// ValidNode returns nil for a name that a node may have: 1 to 64 letters,
// digits and _ . - which need no escaping wherever a position is written.
func ValidNode(name string) error {
	if len(name) == 0 || len(name) > MaxNodeBytes {
		return fmt.Errorf("node name has %d bytes, want 1 to %d", len(name), MaxNodeBytes)
	}
	for i := range len(name) {
		c := name[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			c == '_', c == '.', c == '-':
		default:
			return fmt.Errorf("node name holds %q, allowed are letters, digits and _.-", []byte{c})
		}
	}
	return nil
}
