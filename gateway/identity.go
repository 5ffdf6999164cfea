package gateway

import (
	"context"
	"log/slog"
	"strconv"

	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// traced reports whether each client's connects and disconnects are logged: at level debug.
func (s *shard) traced() bool { return s.log.Enabled(context.Background(), slog.LevelDebug) }

// traceRefused logs a rejected request. origin is the requesting page's, if known.
func (s *shard) traceRefused(i uint32, c *client, err *http1.Error, origin []byte) {
	if !s.traced() {
		return
	}
	s.log.Debug("refused", "status", err.Status, "code", err.Code, "message", err.Message, "origin", string(origin),
		"connection", string(s.appendConnectionID(nil, i, c)), "address", s.conns.Addr(i))
}

// traceGone logs a closed connection.
func (s *shard) traceGone(i uint32, c *client, reason reasons.Close) {
	if !s.traced() {
		return
	}
	s.log.Debug("closed", "reason", reason, "transport", transportOf(c), "subject", s.subjectOf(c),
		"connection", string(s.appendConnectionID(nil, i, c)), "address", s.conns.Addr(i))
}

// connectionID returns an id that is unique in the fleet and over time: node, shard, slot and the
// slot's generation.
func (s *shard) connectionID(i uint32, c *client) string {
	return string(s.appendConnectionID(nil, i, c))
}

func (s *shard) appendConnectionID(b []byte, i uint32, c *client) []byte {
	b = append(append(b, s.srv.node...), '-')
	b = strconv.AppendUint(b, uint64(s.id), 36)
	b = append(b, '-')
	b = strconv.AppendUint(b, uint64(i), 36)
	b = append(b, '-')
	return strconv.AppendUint(b, uint64(s.conns.Gen(i)), 36)
}
