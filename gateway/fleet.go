package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"pushgate/gateway/jsontext"
)

// Rebalance asks a fraction of the clients, chosen evenly, to reconnect, spread
// over a time: where a load balancer spreads new connections over a fleet that
// has grown, they find their way to the new members. It returns how many
// connections there are.
func (s *Server) Rebalance(fraction float64, over time.Duration) int64 {
	for _, sh := range s.shards {
		sh.post(func() {
			if sh.drain.reason == "" {
				sh.beginDrain(CloseRebalance, fraction, over)
			}
		})
	}
	return s.connections.Load()
}

// drainTime is how long the connections take to close at a shutdown.
func (s *Server) drainTime() time.Duration {
	d := s.live.Load().Drain
	if rate := d.Rate; rate > 0 {
		return time.Duration(float64(s.connections.Load()) / float64(rate) * float64(time.Second))
	}
	return d.Timeout
}

// rebalanceRequest is the body of POST /v1/drain.
type rebalanceRequest struct {
	Fraction *float64 `json:"fraction"`
	Over     string   `json:"over"` // a duration
}

// parse returns what is asked for; ok is false for an empty body.
func (r *rebalanceRequest) parse(body io.Reader) (fraction float64, over time.Duration, ok bool, err error) {
	text, err := io.ReadAll(body)
	if err != nil {
		return 0, 0, false, err
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return 0, 0, false, nil
	}
	switch err := jsontext.Decode(text, r); {
	case err != nil:
		return 0, 0, false, errors.New("the body is a JSON object with fraction and over: " + err.Error())
	case r.Fraction == nil || *r.Fraction <= 0 || *r.Fraction > 1:
		return 0, 0, false, errors.New("fraction is a number over 0, up to 1")
	}
	over = 30 * time.Second
	if r.Over != "" {
		if over, err = time.ParseDuration(r.Over); err != nil || over < 0 || over > time.Hour {
			return 0, 0, false, errors.New("over is a duration up to 1h")
		}
	}
	return *r.Fraction, over, true, nil
}

// handleDrain answers POST /v1/drain. Without a body it shuts the gateway down
// as SIGTERM does; with a fraction it asks that many of the clients to
// reconnect, and goes on.
func (s *Server) handleDrain(w http.ResponseWriter, r *http.Request) {
	var q rebalanceRequest
	fraction, over, rebalance, err := q.parse(http.MaxBytesReader(w, r.Body, 4096))
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		json.NewEncoder(w).Encode(map[string]any{"error": map[string]string{"code": codeBadRequest, "message": err.Error()}})
		return
	}
	w.WriteHeader(http.StatusAccepted)
	if rebalance {
		json.NewEncoder(w).Encode(map[string]any{"connections": s.Rebalance(fraction, over), "fraction": fraction})
		return
	}
	json.NewEncoder(w).Encode(map[string]any{"connections": s.connections.Load(), "draining": true})
	s.stopOnce.Do(func() { close(s.stop) })
}

// ageOf returns the tick at which a connection has lived long enough, and
// whether there is one. It is dithered by a tenth to both sides, so that
// clients that came together don't go together.
func (s *shard) ageOf(i uint32, c *conn) (end uint32, ok bool) {
	if s.cfg.Drain.MaxAge == 0 {
		return 0, false
	}
	age := ticks(s.cfg.Drain.MaxAge)
	hash := (i ^ c.gen<<16) * 2654435761
	dither := uint64(age) / 5 * uint64(hash>>16) >> 16
	return c.born + age - age/10 + uint32(dither), true
}

// old reports whether a connection has lived long enough.
func (s *shard) old(i uint32, c *conn) bool {
	end, ok := s.ageOf(i, c)
	return ok && int32(s.now-end) >= 0
}

// aged sends a connection away that is old.
func (s *shard) aged(i uint32, c *conn) bool {
	if !s.old(i, c) {
		return false
	}
	s.sendAway(i, c, CloseAge, s.cfg.Heartbeat.Interval)
	return true
}
