package client

import (
	"cmp"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
)

// Command is an instruction to the clients of a run, wherever they are. None
// takes long: its effect shows in the totals.
type Command struct {
	ID int    `json:"id"`
	Do string `json:"do"`

	On       bool            `json:"on,omitempty"`
	Target   int             `json:"target,omitempty"`
	Rate     float64         `json:"rate,omitempty"`
	Sequence []uint32        `json:"sequence,omitempty"`
	Lapses   []account.Lapse `json:"lapses,omitempty"`

	// Of doStart.
	Config *plan.Config `json:"config,omitempty"`
	Key    []byte       `json:"key,omitempty"` // the content of --jwt-key
	CA     []byte       `json:"ca,omitempty"`  // the content of --ca
	Run    string       `json:"run,omitempty"`
	Offset int64        `json:"offset,omitempty"` // ns that the clock is ahead
	Proxy  string       `json:"proxy,omitempty"`  // the program that listens at the target, where it is one
}

// The commands. The first two are for other processes only.
const (
	DoClock   = "clock"
	DoStart   = "start"
	DoRamp    = "ramp"    // to Target at Rate
	DoBegin   = "begin"   // a window behind Sequence, with moving clients if On
	DoAudit   = "audit"   // against Sequence
	DoCollect = "collect" // counters and new latencies
	DoRecover = "recover" // reopen lost clients, or no longer
	DoCut     = "cut"
	DoChurn   = "churn" // at Rate; 0 ends it
	DoSlow    = "slow"  // stop reading, or go on
	DoLeave   = "leave"
)

// Answer is the answer to a command.
type Answer struct {
	ID    int    `json:"id,omitempty"`
	Error string `json:"error,omitempty"`
	Usage bool   `json:"usage,omitempty"` // the error is of a run that can't be as asked

	Settled   uint64         `json:"settled,omitempty"` // once a ramp is done
	Listeners []uint32       `json:"listeners,omitempty"`
	Moved     []uint32       `json:"moved,omitempty"`
	Audit     *account.Audit `json:"audit,omitempty"`
	Snapshot  *Snapshot      `json:"snapshot,omitempty"`

	// Of another process.
	Schema string          `json:"schema,omitempty"`
	Now    int64           `json:"now,omitempty"`
	CPUs   int             `json:"cpus,omitempty"`
	Totals *account.Totals `json:"totals,omitempty"` // unasked, whenever they change
}

// Merge adds the answer of others to the same command.
func (a *Answer) Merge(o *Answer) {
	a.Settled += o.Settled
	a.Listeners, a.Moved = sum(a.Listeners, o.Listeners), sum(a.Moved, o.Moved)
	switch {
	case a.Audit == nil:
		a.Audit = o.Audit
	case o.Audit != nil:
		a.Audit.Add(o.Audit)
	}
	switch {
	case a.Snapshot == nil:
		a.Snapshot = o.Snapshot
	case o.Snapshot != nil:
		a.Snapshot.Add(o.Snapshot)
	}
}

func sum(a, b []uint32) []uint32 {
	if a == nil {
		return b
	}
	for i, n := range b {
		a[i] += n
	}
	return a
}

// Snapshot is the sum over the loops.
type Snapshot struct {
	Counters account.Counters `json:"counters"`
	Tallies  account.Tallies  `json:"tallies"`
	Proxy    string           `json:"proxy"` // its name; empty: none was met

	Addresses []account.Address `json:"addresses"` // of the target, where it has several

	Busy []time.Duration `json:"busy"` // per loop, in batches since the start
	CPU  time.Duration   `json:"cpu"`  // of other processes of the run
	// Scratches is how many clients are in the middle of something.
	Scratches int `json:"scratches"`

	// Fresh is the latencies since the snapshot before.
	Fresh account.Recorder `json:"fresh"`
}

// NewSnapshot returns an empty sum.
func NewSnapshot() *Snapshot {
	return &Snapshot{Tallies: account.NewTallies(), Fresh: account.NewRecorder()}
}

// Add adds the sum of other loops, whose latencies it takes out.
func (s *Snapshot) Add(o *Snapshot) {
	s.Counters.Add(&o.Counters)
	s.Tallies.Merge(&o.Tallies)
	s.Proxy = cmp.Or(s.Proxy, o.Proxy)
	s.Addresses = account.AddAddresses(s.Addresses, o.Addresses)
	s.Busy = append(s.Busy, o.Busy...)
	s.CPU += o.CPU
	s.Scratches += o.Scratches
	o.Fresh.Drain(&s.Fresh)
}
