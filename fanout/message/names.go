package message

import "fmt"

const (
	// MaxChannelBytes is the length of the longest channel name.
	MaxChannelBytes = 200
	// maxNodeBytes is the length of the longest name of a node.
	maxNodeBytes = 64
)

// alphabet is the bytes that a name may hold: letters, digits and some punctuation.
type alphabet struct {
	punctuation string
	has         [256]bool
}

func newAlphabet(punctuation string) *alphabet {
	a := &alphabet{punctuation: punctuation}
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789" + punctuation) {
		a.has[c] = true
	}
	return a
}

// None of these bytes needs escaping in a JSON string, an SSE line or a Redis channel
// name, and the encodings rely on that.
var channelBytes, nodeBytes = newAlphabet("_-.:/@=~!$+#"), newAlphabet("_.-")

// ValidChannel returns nil for a name that a channel may have, 1 to 200 letters, digits
// and _-.:/@=~!$+#, else an error that can be shown to the client. It keeps nothing of
// name.
func ValidChannel(name string) error { return channelBytes.check("channel", name, MaxChannelBytes) }

// ValidNode returns nil for a name that a node may have: 1 to 64 letters, digits and _.-
// which need no escaping wherever a position is written.
func ValidNode(name string) error { return nodeBytes.check("node", name, maxNodeBytes) }

func (a *alphabet) check(kind, name string, most int) error {
	switch {
	case len(name) == 0:
		return fmt.Errorf("%s name is empty, want 1 to %d bytes", kind, most)
	case len(name) > most:
		return fmt.Errorf("%s name has %d bytes, want 1 to %d", kind, len(name), most)
	}
	for i := range len(name) {
		if c := name[i]; !a.has[c] {
			return fmt.Errorf("%s name holds %q at byte %d, allowed are letters, digits and %s", kind, []byte{c}, i, a.punctuation)
		}
	}
	return nil
}
