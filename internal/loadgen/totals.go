package loadgen

// totals decide how a run goes on: the loops show them between two collections.
type totals struct {
	Settled, Ready, Lost, Open, Delivered uint64
	Moved, Returned, Cut                  uint64
	Heard, Away, Up, MoversUp             int64
	Leaving                               int64 // still to be closed, or not gone yet
	Latest                                int64 // when the last delivery came, ns
}

// nobody reports whether no client is there, nor on its way back.
func (t *totals) nobody() bool { return t.Up == 0 && t.Away == 0 }

// add sums up the totals of several loops or processes.
func (t *totals) add(o *totals) {
	t.Settled += o.Settled
	t.Ready += o.Ready
	t.Lost += o.Lost
	t.Open += o.Open
	t.Delivered += o.Delivered
	t.Moved += o.Moved
	t.Returned += o.Returned
	t.Cut += o.Cut
	t.Heard += o.Heard
	t.Away += o.Away
	t.Up += o.Up
	t.MoversUp += o.MoversUp
	t.Leaving += o.Leaving
	t.Latest = max(t.Latest, o.Latest)
}
