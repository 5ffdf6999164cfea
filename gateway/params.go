package gateway

import (
	"bytes"
	"fmt"

	"pushgate/fanout"
	"pushgate/gateway/http1"
)

// params are the query parameters that the endpoints have in common.
type params struct {
	channels [][]byte
	raw      bool
	since    fanout.Position
	resume   bool // since was given
}

// params reads the query of s.request. The slices are valid until the next
// request.
func (s *shard) params() (p params, err *http1.Error) {
	q := s.request.Query(nil)
	for {
		name, value, ok := q.Next()
		if !ok {
			break
		}
		switch string(name) {
		case "channels":
			for name := range bytes.SplitSeq(value, []byte(",")) {
				if len(name) > 0 {
					p.channels = append(p.channels, name)
				}
			}
		case "format":
			switch string(value) {
			case "raw":
				p.raw = true
			case "json":
			default:
				return p, badParam("format is json or raw, not %.20q", value)
			}
		case "cursor":
			since, err := fanout.ParsePosition(string(value))
			if err != nil {
				return p, badParam("cursor: %v", err)
			}
			p.since, p.resume = since, true
		}
	}
	if err := q.Err(); err != nil {
		return p, err.(*http1.Error)
	}
	if n := s.srv.cfg.Limits.ChannelsPerConnection; len(p.channels) > n {
		return p, &http1.Error{Status: 400, Code: codeTooManyChannels, Message: fmt.Sprintf("%d channels, a connection may have %d", len(p.channels), n)}
	}
	for _, name := range p.channels {
		if err := fanout.ValidChannel(string(name)); err != nil {
			return p, &http1.Error{Status: 400, Code: codeInvalidChannel, Message: err.Error()}
		}
	}
	return p, nil
}

func badParam(format string, args ...any) *http1.Error {
	return &http1.Error{Status: 400, Code: codeBadRequest, Message: fmt.Sprintf(format, args...)}
}
