package fanout

import (
	"errors"
	"time"
)

// errSlotMoved ends a session of a Cluster: a slot of the link's belongs to another
// server than the one that was subscribed to.
var errSlotMoved = errors.New("a slot has moved to another server")

// moveGrace is how many probe intervals a link may take to subscribe to its channels
// again where a slot of theirs has moved, before it counts as down. It takes 0.1 s,
// so that moving slots one by one, as an operator does for hours, leaves readiness
// alone. What was published meanwhile is made up for, or told, as after any outage.
const moveGrace = missedProbes

// follow begins the time of grace. One that has begun goes on: a link that follows
// slots and never arrives delivers nothing. The caller holds mu.
func (l *link) follow(err error) {
	if !l.moved.IsZero() {
		return
	}
	l.moved = time.Now()
	l.b.log.Info("redis moves a slot: its channels are subscribed to again", "connection", l.label, "channels", l.topics.len(), "err", err)
}

// followed ends the time of grace: the link delivers all its channels. The caller
// holds mu.
func (l *link) followed() {
	l.b.log.Info("redis delivers from the slot's new server", "connection", l.label,
		"after", time.Since(l.moved).Round(time.Millisecond))
	l.moved = time.Time{}
}

// checkMoved declares the link down when the grace is over. The caller holds mu.
func (l *link) checkMoved() {
	if !l.moved.IsZero() && time.Since(l.moved) > moveGrace*l.b.config.ProbeInterval {
		l.setDown(errSlotMoved)
	}
}
