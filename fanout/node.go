package fanout

// Node returns the name of this node in plain positions.
func (b *Broker) Node() string { return b.node }
