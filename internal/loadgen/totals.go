package loadgen

// totals is the loops' live state.
type totals struct {
	settled, ready, lost, open, delivered uint64
	moved, returned, cut                  uint64
	away, up, moversUp, leaving, heard    int64
	latest                                int64
}

// nobody reports whether no client is there, nor on its way back.
func (t *totals) nobody() bool { return t.up == 0 && t.away == 0 }

// add sums up the totals of several processes.
func (t *totals) add(o *totals) {
	mine, others := t.list(), o.list()
	for i := range mine {
		mine[i] += others[i]
	}
	latest := max(t.latest, o.latest)
	t.read(mine)
	t.latest = latest
}

// list writes the totals for another process, which reads them.
func (t *totals) list() []int64 {
	return []int64{int64(t.settled), int64(t.ready), int64(t.lost), int64(t.open), int64(t.delivered),
		int64(t.moved), int64(t.returned), int64(t.cut), t.up, t.moversUp, t.leaving, t.latest, t.away, t.heard}
}

func (t *totals) read(list []int64) {
	var all [14]int64
	copy(all[:], list)
	*t = totals{settled: uint64(all[0]), ready: uint64(all[1]), lost: uint64(all[2]), open: uint64(all[3]), delivered: uint64(all[4]),
		moved: uint64(all[5]), returned: uint64(all[6]), cut: uint64(all[7]), up: all[8], moversUp: all[9], leaving: all[10], latest: all[11], away: all[12], heard: all[13]}
}
