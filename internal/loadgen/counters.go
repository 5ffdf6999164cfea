package loadgen

// subtract leaves what has happened since before.
func (c *Counters) subtract(before *Counters) {
	minus := *before
	for _, n := range minus.all() {
		*n = -*n
	}
	c.add(&minus)
}

func (c *Counters) add(o *Counters) {
	mine := c.all()
	for i, n := range o.all() {
		*mine[i] += *n
	}
}

// all lists the counters.
func (c *Counters) all() []*uint64 {
	return []*uint64{
		&c.Attempted,
		&c.Untried,
		&c.Established,
		&c.Ready,
		&c.Clients,
		&c.Failed,
		&c.Retried,
		&c.Lost,
		&c.Open,
		&c.Closed,
		&c.Cut,
		&c.Churned,
		&c.Returned,
		&c.LateConnects,
		&c.SkippedConnects,
		&c.SlowLost,
		&c.Renewed,
		&c.Deferred,
		&c.ProxyCut,
		&c.ProxyReturned,
		&c.ProxyRetried,
		&c.Away,
		&c.Moved,
		&c.Aside,
		&c.Delivered,
		&c.Duplicated,
		&c.Replayed,
		&c.Reordered,
		&c.Misdirected,
		&c.Damaged,
		&c.Foreign,
		&c.Heard,
		&c.Other,
		&c.Unknown,
		&c.Gaps,
		&c.Byes,
		&c.Errors,
		&c.Pings,
		&c.Bytes,
		&c.TLSHandshakes,
		&c.TLSTime,
	}
}
