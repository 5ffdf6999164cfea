package protocol

import (
	"bytes"
	"time"

	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/client"
	"github.com/pushgate/pushgate/gateway/internal/position"
	"github.com/pushgate/pushgate/gateway/internal/publish"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// Params are the parameters of a request for messages, from its query or, for a poll, from its
// body.
type Params struct {
	client.Params
	Wait time.Duration // of a poll
	Max  int           // messages in a poll's response
}

// Bounds and defaults of a poll.
const (
	MaxWait     = 55 * time.Second
	DefaultWait = 25 * time.Second
	MaxMessages = 1000
	DefaultMax  = 100
)

// Query reads the query of the request being routed. The Last-Event-ID header is the newest position: a
// reconnecting client repeats its first URL, older positions included, with the parameters that a
// library adds.
func Query(h *client.Hub) (p Params, err *http1.Error) {
	p = Params{Wait: DefaultWait, Max: DefaultMax}
	q := h.HTTP.Query()
	newest := position.None
	for {
		name, value, ok := q.Next()
		if !ok {
			break
		}
		switch string(name) {
		case "channels":
			for name := range bytes.SplitSeq(value, []byte(",")) {
				if len(name) > 0 {
					p.Channels = append(p.Channels, string(name))
				}
			}
		case "format":
			err = p.SetFormat(string(value))
		case "token", "wait", "max", "history":
		default:
			switch named := position.Named(string(name)); {
			case len(value) == 0 || named != position.None && named < newest:
			case named > position.Strange:
				newest, err = named, p.SetCursor(string(value))
			case named == position.Strange || position.LooksLike(string(value)):
				err = &http1.Error{Status: 400, Code: CodeInvalidPosition, Message: position.MisnamedText(string(name), "cursor, since or lastEventId")}
			}
		}
		if err != nil {
			return p, err
		}
	}
	if err := q.Err(); err != nil {
		return p, err.(*http1.Error)
	}
	wait, werr := q.Int("wait", int64(DefaultWait/time.Second), 0, int64(MaxWait/time.Second))
	n, nerr := q.Int("max", DefaultMax, 1, MaxMessages)
	history, herr := q.Int("history", 0, 0, int64(h.Shared.Broker.MostHistory()))
	for _, err := range []error{werr, nerr, herr} {
		if err != nil {
			return p, err.(*http1.Error)
		}
	}
	p.Wait, p.Max, p.History = time.Duration(wait)*time.Second, int(n), int(history)
	if err := p.SetCursor(string(h.HTTP.Request().LastEventID)); err != nil {
		return p, err
	}
	return p, CheckChannels(h, &p)
}

// SetFormat sets the format by its name.
func (p *Params) SetFormat(value string) *http1.Error {
	switch value {
	case "raw":
		p.Raw = true
	case "json", "":
	default:
		return reasons.BadRequest("format is json or raw, not %.20q", value)
	}
	return nil
}

// SetCursor sets the position by its text.
func (p *Params) SetCursor(value string) *http1.Error {
	if value == "" {
		return nil
	}
	var err error
	if p.Resume, err = position.Parse(value); err != nil {
		return &http1.Error{Status: 400, Code: CodeInvalidPosition, Message: err.Error()}
	}
	return nil
}

// CheckHistory refuses a number of messages larger than any channel keeps.
func CheckHistory(h *client.Hub, n int) *http1.Error {
	if most := h.Shared.Broker.MostHistory(); n < 0 || n > most {
		return reasons.BadRequest("history is a number from 0 to %d", most)
	}
	return nil
}

// CheckChannels bounds the channels, checks their names, drops duplicates and narrows the position
// to them.
func CheckChannels(h *client.Hub, p *Params) *http1.Error {
	if err := h.Rights.TooMany(&p.Params); err != nil {
		return err
	}
	for _, name := range p.Channels {
		if err := message.ValidChannel(name); err != nil {
			return &http1.Error{Status: 400, Code: publish.CodeInvalidChannel, Message: err.Error()}
		}
	}
	if len(p.Channels) > 1 {
		given := p.Channels
		p.Channels = make([]string, 0, len(given))
		p.Add(given)
	}
	p.Resume.Narrow(p.Channels...)
	return nil
}

// Refuse refuses a request for its parameters.
func Refuse(h *client.Hub, i uint32, err *http1.Error) {
	reason := reasons.RejectChannels
	if err.Status == 403 {
		reason = reasons.RejectForbidden
	}
	h.HTTP.Refuse.Request(i, reason, err, nil)
}

// PositionOutside returns an error for a position outside the body of a POST request.
func PositionOutside(h *client.Hub) *http1.Error {
	name := ""
	if len(h.HTTP.Request().LastEventID) > 0 {
		name = "Last-Event-ID"
	}
	for q := h.HTTP.Query(); ; {
		key, value, ok := q.Next()
		if !ok {
			break
		}
		if key := string(key); len(value) > 0 && key != "token" && (position.Named(key) != position.None || position.LooksLike(string(value))) {
			name = key
		}
	}
	if name == "" {
		return nil
	}
	return &http1.Error{Status: 400, Code: CodeInvalidPosition, Message: position.MisnamedText(name, "cursor in the body")}
}
