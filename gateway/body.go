package gateway

import (
	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/conn"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// target is the purpose of a request with a body.
type target uint8

const (
	targetPoll target = iota
	targetPublish
)

// postRequest begins a request with a JSON body. rest holds the bytes behind its head.
func (s *shard) postRequest(i uint32, c *client, to target, rest []byte) (left []byte) {
	if err := s.positionOutside(); err != nil && to == targetPoll {
		s.refuse(i, c, reasons.RejectBadRequest, err, nil)
		return nil
	}
	body, err := s.request.Body(int64(s.cfg.Limits.MessageBytes))
	if err != nil {
		s.malformed(i, c, err.(*http1.Error))
		return nil
	}
	if s.request.Expect100 && len(rest) == 0 {
		s.conns.SendCopy(i, []byte(http1.Continue))
		if c.phase != phaseHead {
			return nil
		}
	}
	var p *poll
	c.poll, p = s.polls.Take()
	p.body, p.target = body, to
	c.phase = phaseBody
	s.conns.SetDeadline(i, s.conns.Now()+conn.Ticks(s.cfg.Limits.HeadTimeout))
	return s.readBody(i, c, rest)
}

// body takes bytes of a request's body and of the requests behind it.
func (s *shard) body(i uint32, c *client, data []byte) {
	s.request = http1.Request{} // stale: another connection's
	if s.polls.At(c.poll).body.Done() {
		s.sentAhead(i, c, data)
		return
	}
	s.follow(i, c, s.readBody(i, c, data))
}

// readBody consumes the body's bytes from data. Once the body is complete it handles the request,
// and returns the remaining bytes.
func (s *shard) readBody(i uint32, c *client, data []byte) (left []byte) {
	p := s.polls.At(c.poll)
	var text []byte
	for {
		piece, n, done, err := p.body.Next(data)
		if err != nil {
			s.malformed(i, c, err.(*http1.Error))
			return nil
		}
		data = data[n:]
		if done && c.in == 0 {
			text = piece // whole where it was read
			break
		}
		in := s.takeInput(i, c, piece, s.cfg.Limits.MessageBytes)
		if done {
			text = in.buf
			s.detach(c)
			break
		}
		if len(data) == 0 {
			return nil
		}
	}
	switch p.target {
	case targetPoll:
		s.pollPost(i, c, text)
	case targetPublish:
		s.conns.ClearDeadline(i) // the publisher has its own deadline
		s.publishPost(i, c, text)
	}
	return data
}

// follow processes the bytes behind a request.
func (s *shard) follow(i uint32, c *client, data []byte) {
	switch {
	case len(data) == 0:
	case c.phase == phaseHead:
		s.head(i, c, data)
	case c.phase == phaseBody, c.phase == phaseOpen && c.kind == kindPoll:
		s.sentAhead(i, c, data)
	}
}
