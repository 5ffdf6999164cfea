package heartbeat

// Advance moves the wheel to tick now and calls fire for ids that are due, at
// most limit times; more says that it left some, which another call with the
// same now goes on with. An id has no tick any more when fire is called for
// it. The order among due ids is not defined. A now that is before the
// present tick counts as the present one.
//
// fire may call Set and Cancel for any id. What it sets to now or before
// waits for the next Advance, so that no call runs for ever, and does not
// count as more.
func (w *Wheel) Advance(now uint32, limit int, fire func(id uint32)) (n int, more bool) {
	if after(now, w.now) {
		w.now = now
	}
	w.collectLater()
	w.advancing = true
	defer func() { w.advancing = false }()
	for head := w.heads[w.late()]; head != 0; head = w.heads[w.late()] {
		if n >= limit {
			return n, true
		}
		w.fire(uint32(head-1), fire)
		n++
	}
	w.skipTurns()
	for w.scan != w.now {
		if !w.inBucket {
			w.cursor, w.inBucket = w.heads[(w.scan+1)&w.mask], true
		}
		for w.cursor != 0 {
			id := uint32(w.cursor - 1)
			e := w.at(id)
			if after(e.due, w.now) {
				w.cursor = e.next // another turn
				continue
			}
			if n >= limit {
				return n, true
			}
			w.fire(id, fire) // unlink moves the cursor on
			n++
		}
		w.inBucket = false
		w.scan++
	}
	return n, false
}

// fire takes an id off its list and reports it.
func (w *Wheel) fire(id uint32, report func(id uint32)) {
	w.unlink(id, w.at(id))
	w.count--
	report(id)
}

// collectLater makes what the last Advance had set aside due in this one.
func (w *Wheel) collectLater() {
	for head := w.heads[w.later()]; head != 0; head = w.heads[w.later()] {
		id := uint32(head - 1)
		e := w.at(id)
		w.unlink(id, e)
		w.push(w.late(), id, e)
	}
}

// skipTurns starts a scan that would go round the wheel more than once at its
// last turn: one visit to each bucket finds everything that is due.
func (w *Wheel) skipTurns() {
	if w.now-w.scan > w.mask+1 {
		w.scan = w.now - (w.mask + 1)
		w.cursor, w.inBucket = 0, false
	}
}
