package client

import (
	"unsafe"

	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/fanout/index"
	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/internal/position"
)

// Params are the parameters of a first request for messages.
type Params struct {
	Channels []string // distinct
	Raw      bool     // bare payloads
	Resume   position.Resume
	History  int  // newest messages of each channel without a position
	Checked  bool // RoomFor has found room for the channels
}

// Bytes estimates the memory of p while it is kept.
func (p *Params) Bytes() int {
	const place = 160 // map entry, growth included
	n := int(unsafe.Sizeof(*p)) + place + len(p.Resume.Text)
	for _, name := range p.Channels {
		n += len(name) + int(unsafe.Sizeof(name))
	}
	return n
}

// Add adds the channels that p doesn't have yet.
func (p *Params) Add(channels []string) {
	if len(channels) == 0 {
		return
	}
	have := make(map[string]bool, len(p.Channels)+len(channels))
	for _, name := range p.Channels {
		have[name] = true
	}
	for _, name := range channels {
		if !have[name] {
			have[name] = true
			p.Channels = append(p.Channels, name)
		}
	}
	p.Resume.Several = len(p.Channels) > 1
}

// Ref is a client's number or string for a request, in its original spelling, repeated in the
// reply.
type Ref string

// UnmarshalJSON keeps the spelling.
func (r *Ref) UnmarshalJSON(text []byte) error {
	*r = Ref(text)
	return nil
}

// MarshalJSON returns the spelling.
func (r Ref) MarshalJSON() ([]byte, error) { return []byte(r), nil }

// Request is one request to subscribe. Millions may wait while Redis is down: one takes 128 bytes,
// which is a size class of Go's allocator.
type Request struct {
	Slot   uint32
	sub    index.Sub
	Newest int32              // without Since: number of newest messages to replay first
	First  bool               // for a channel of the client's first request
	again  bool               // already subscribed: only its position is sent
	Time   bool               // Since is a time, not a message of the channel
	Lost   bool               // plain messages since its older plain position may have bypassed this node
	begun  bool               // some missed messages are sent
	told   bool               // the subscription is confirmed
	fits   bool               // there is room for the channel
	Since  []message.Position // resume after the first of these that is available
	Asked  string             // Since in the client's spelling
	Ref    Ref
	replay *fanout.Request // the page in progress, or the last one

	// While catching up
	missed *fanout.Replay // remainder of the page
	page   *fanout.Replay // the previous page, without its messages

	// In the list that it is in, if any
	list       *waiters
	prev, next *Request
}

// catchesUp reports whether the client requests earlier messages.
func (w *Request) catchesUp() bool { return len(w.Since) > 0 || w.Newest > 0 }
