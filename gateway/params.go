package gateway

import (
	"bytes"
	"fmt"
	"time"

	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/position"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// params are the parameters of a request for messages, from its query or, for a poll, from its
// body.
type params struct {
	channels []string
	raw      bool
	resume   position.Resume
	history  int           // newest messages of each channel without a position
	wait     time.Duration // of a poll
	max      int           // messages in a poll's response
}

// Bounds and defaults of a poll.
const (
	maxWait     = 55 * time.Second
	defaultWait = 25 * time.Second
	maxMessages = 1000
	defaultMax  = 100
)

// query reads the query of s.request. The Last-Event-ID header is the newest position: a
// reconnecting client repeats its first URL, older positions included, with the parameters that a
// library adds.
func (s *shard) query() (p params, err *http1.Error) {
	p = params{wait: defaultWait, max: defaultMax}
	r := &s.request
	q := r.Query(s.decoded[:0])
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
					p.channels = append(p.channels, string(name))
				}
			}
		case "format":
			err = p.setFormat(string(value))
		case "token", "wait", "max", "history":
		default:
			switch named := position.Named(string(name)); {
			case len(value) == 0 || named != position.None && named < newest:
			case named > position.Strange:
				newest, err = named, p.setCursor(string(value))
			case named == position.Strange || position.LooksLike(string(value)):
				err = &http1.Error{Status: 400, Code: codeInvalidPosition, Message: position.MisnamedText(string(name), "cursor, since or lastEventId")}
			}
		}
		if err != nil {
			return p, err
		}
	}
	if err := q.Err(); err != nil {
		return p, err.(*http1.Error)
	}
	wait, werr := q.Int("wait", int64(defaultWait/time.Second), 0, int64(maxWait/time.Second))
	n, nerr := q.Int("max", defaultMax, 1, maxMessages)
	history, herr := q.Int("history", 0, 0, int64(s.srv.broker.MostHistory()))
	for _, err := range []error{werr, nerr, herr} {
		if err != nil {
			return p, err.(*http1.Error)
		}
	}
	p.wait, p.max, p.history = time.Duration(wait)*time.Second, int(n), int(history)
	if err := p.setCursor(string(r.LastEventID)); err != nil {
		return p, err
	}
	return p, s.checkChannels(&p)
}

// add adds the channels that p doesn't have yet.
func (p *params) add(channels []string) {
	if len(channels) == 0 {
		return
	}
	have := make(map[string]bool, len(p.channels)+len(channels))
	for _, name := range p.channels {
		have[name] = true
	}
	for _, name := range channels {
		if !have[name] {
			have[name] = true
			p.channels = append(p.channels, name)
		}
	}
	p.resume.Several = len(p.channels) > 1
}

func (p *params) setFormat(value string) *http1.Error {
	switch value {
	case "raw":
		p.raw = true
	case "json", "":
	default:
		return badRequest("format is json or raw, not %.20q", value)
	}
	return nil
}

func (p *params) setCursor(value string) *http1.Error {
	if value == "" {
		return nil
	}
	var err error
	if p.resume, err = position.Parse(value); err != nil {
		return &http1.Error{Status: 400, Code: codeInvalidPosition, Message: err.Error()}
	}
	return nil
}

// checkHistory refuses a number of messages larger than any channel keeps.
func (s *shard) checkHistory(n int) *http1.Error {
	if most := s.srv.broker.MostHistory(); n < 0 || n > most {
		return badRequest("history is a number from 0 to %d", most)
	}
	return nil
}

// checkChannels bounds the channels, checks their names, drops duplicates and narrows the position
// to them.
func (s *shard) checkChannels(p *params) *http1.Error {
	if err := s.tooMany(p); err != nil {
		return err
	}
	for _, name := range p.channels {
		if err := message.ValidChannel(name); err != nil {
			return &http1.Error{Status: 400, Code: codeInvalidChannel, Message: err.Error()}
		}
	}
	if len(p.channels) > 1 {
		given := p.channels
		p.channels = make([]string, 0, len(given))
		p.add(given)
	}
	p.resume.Narrow(p.channels...)
	return nil
}

// refuseParams refuses a request for its parameters.
func (s *shard) refuseParams(i uint32, c *client, err *http1.Error) {
	reason := reasons.RejectChannels
	if err.Status == 403 {
		reason = reasons.RejectForbidden
	}
	s.refuse(i, c, reason, err, nil)
}

func badRequest(format string, args ...any) *http1.Error {
	return &http1.Error{Status: 400, Code: codeBadRequest, Message: fmt.Sprintf(format, args...)}
}

// tooMany returns an error for more channels than a connection may have.
func (s *shard) tooMany(p *params) *http1.Error {
	n := s.cfg.Limits.ChannelsPerConnection
	if len(p.channels) <= n {
		return nil
	}
	return &http1.Error{Status: 400, Code: codeTooManyChannels, Message: fmt.Sprintf("%d channels, a connection may have %d", len(p.channels), n)}
}

// positionOutside returns an error for a position outside the body of a POST request.
func (s *shard) positionOutside() *http1.Error {
	name := ""
	if len(s.request.LastEventID) > 0 {
		name = "Last-Event-ID"
	}
	for q := s.request.Query(s.decoded[:0]); ; {
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
	return &http1.Error{Status: 400, Code: codeInvalidPosition, Message: position.MisnamedText(name, "cursor in the body")}
}
