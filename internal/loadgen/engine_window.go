package loadgen

// begin starts the account of a window: messages with numbers after those of
// sequence are expected on every subscription of the clients that are ready,
// slow ones left out, moving ones unless movers. It returns the number of
// such subscriptions per channel, and of moving clients' among them.
func (e *engine) begin(sequence []uint32, movers bool) (listeners, moved []uint32, err error) {
	a, err := e.order(order{Do: doBegin, Sequence: sequence, On: movers})
	return a.Listeners, a.Moved, err
}

func (l *loop) begin(sequence []uint32, movers bool, listeners, moved []uint32) {
	channels := &l.plan.channels
	per := channels.PerClient()
	for slot := range l.clients {
		c := &l.clients[slot]
		c.flags &^= counted
		if !c.up() || c.flags&slow != 0 || c.flags&moving != 0 && !movers {
			l.unhear(uint32(slot))
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
	l.show() // who is no longer heard of
}

// audit returns what the subscriptions of a window miss, but for the lapses.
func (e *engine) audit(sequence []uint32, lapses []lapse) (audit, error) {
	a, err := e.order(order{Do: doAudit, Sequence: sequence, Lapses: lapses})
	if a.Audit == nil {
		return audit{}, err
	}
	return *a.Audit, err
}

// tell gives an order that has no answer.
func (e *engine) tell(o order) error {
	_, err := e.order(o)
	return err
}

// recover has the clients that end from now on come back, or stops that.
func (e *engine) recover(on bool) error { return e.tell(order{Do: doRecover, On: on}) }

// cut resets the connections of all moving clients.
func (e *engine) cut() error { return e.tell(order{Do: doCut}) }

// startChurn closes and opens moving clients at a rate, stopChurn ends that.
func (e *engine) startChurn(rate float64) error { return e.tell(order{Do: doChurn, Rate: rate}) }
func (e *engine) stopChurn() error              { return e.tell(order{Do: doChurn}) }

// slowDown has the slow clients stop reading; speedUp has them go on.
func (e *engine) slowDown() error { return e.tell(order{Do: doSlow, On: true}) }
func (e *engine) speedUp() error  { return e.tell(order{Do: doSlow}) }
