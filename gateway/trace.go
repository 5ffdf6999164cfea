package gateway

import (
	"context"
	"log/slog"

	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// traced reports whether the log wants each client's comings and goings: at
// level debug.
func (s *shard) traced() bool { return s.log.Enabled(context.Background(), slog.LevelDebug) }

// traceRefused logs a request that is turned away. origin is the page's that
// asks, where it is at hand.
func (s *shard) traceRefused(i uint32, c *conn, err *http1.Error, origin []byte) {
	if !s.traced() {
		return
	}
	s.log.Debug("refused", "status", err.Status, "code", err.Code, "message", err.Message, "origin", string(origin),
		"connection", string(s.appendConnectionID(nil, i, c)), "address", s.clientAddr(i, c))
}

// traceGone logs a connection that ends.
func (s *shard) traceGone(i uint32, c *conn, reason reasons.Close) {
	if !s.traced() {
		return
	}
	s.log.Debug("closed", "reason", reason, "transport", transportOf(c), "subject", s.subjectOf(c),
		"connection", string(s.appendConnectionID(nil, i, c)), "address", s.clientAddr(i, c))
}
