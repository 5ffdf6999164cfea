package loadgen

// begin starts the account of a window: messages with numbers after those of
// sequence are expected on every subscription of the clients that are ready,
// slow ones left out, moving ones unless movers. It returns the number of
// such subscriptions per channel, and of moving clients' among them.
func (e *engine) begin(sequence []uint32, movers bool) (listeners, moved []uint32, err error) {
	listeners, moved = make([]uint32, len(sequence)), make([]uint32, len(sequence))
	err = e.each(func(l *loop) { l.begin(sequence, movers, listeners, moved) })
	return listeners, moved, err
}

func (l *loop) begin(sequence []uint32, movers bool, listeners, moved []uint32) {
	channels := &l.plan.channels
	per := channels.PerClient()
	for slot := range l.clients {
		c := &l.clients[slot]
		c.flags &^= counted
		if c.state != ready || c.flags&slow != 0 || c.flags&moving != 0 && !movers {
			continue
		}
		c.flags |= counted
		for k := range per {
			ch := channels.Of(l.number(uint32(slot)), k)
			l.ledger.begin(uint32(slot*per+k), sequence[ch])
			listeners[ch]++
			if c.flags&moving != 0 {
				moved[ch]++
			}
		}
	}
}

// audit returns what the subscriptions of a window miss.
func (e *engine) audit(sequence []uint32) (audit, error) {
	a := audit{Exact: true}
	err := e.each(func(l *loop) { l.audit(sequence, &a) })
	return a, err
}

// recover has the clients that end from now on come back, or stops that.
func (e *engine) recover(on bool) error { return e.each(func(l *loop) { l.recover(on) }) }

// cut resets the connections of all moving clients.
func (e *engine) cut() error {
	return e.each(func(l *loop) {
		l.leaves = leaves{active: true, limit: uint32(len(l.clients)), cut: true}
	})
}

// startChurn closes and opens moving clients at a rate, stopChurn ends that.
func (e *engine) startChurn(rate float64) error {
	var all int
	if err := e.each(func(l *loop) { all += len(l.movers) }); err != nil {
		return err
	}
	return e.each(func(l *loop) {
		if len(l.movers) > 0 {
			l.startChurn(rate * float64(len(l.movers)) / float64(all))
		}
	})
}

func (e *engine) stopChurn() error { return e.each((*loop).stopChurn) }

// slowDown has the slow clients stop reading; speedUp has them go on.
func (e *engine) slowDown() error {
	return e.each(func(l *loop) { l.slowDown(l.plan.SlowRead) })
}

func (e *engine) speedUp() error { return e.each((*loop).speedUp) }
