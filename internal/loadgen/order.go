package loadgen

import (
	"encoding/base64"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// order is what the clients of a run are told to do, wherever they are. None
// takes long: what clients do after it shows in the totals.
type order struct {
	ID int    `json:"id"`
	Do string `json:"do"`

	On       bool     `json:"on,omitempty"`
	Target   int      `json:"target,omitempty"`
	Rate     float64  `json:"rate,omitempty"`
	Sequence []uint32 `json:"sequence,omitempty"`
	Lapses   []lapse  `json:"lapses,omitempty"`

	// Of doStart.
	Config *Config `json:"config,omitempty"`
	Key    []byte  `json:"key,omitempty"` // the content of --jwt-key
	CA     []byte  `json:"ca,omitempty"`  // the content of --ca
	Run    string  `json:"run,omitempty"`
	Offset int64   `json:"offset,omitempty"` // ns that the clock is ahead
	Proxy  string  `json:"proxy,omitempty"`  // the program that listens at the target, where it is one
}

// The orders. The first two are for other processes only.
const (
	doClock   = "clock"
	doStart   = "start"
	doRamp    = "ramp"    // to Target at Rate
	doPace    = "pace"    // look at paces often, or no longer
	doBegin   = "begin"   // a window behind Sequence, with moving clients if On
	doAudit   = "audit"   // against Sequence
	doCollect = "collect" // counters and new latencies
	doRecover = "recover" // bring back who ends, or no longer
	doCut     = "cut"
	doChurn   = "churn" // at Rate; 0 ends it
	doSlow    = "slow"  // stop reading, or go on
	doLeave   = "leave"
)

// answer is what came of an order.
type answer struct {
	ID    int    `json:"id,omitempty"`
	Error string `json:"error,omitempty"`
	Usage bool   `json:"usage,omitempty"` // the error is of a run that can't be as asked

	Settled   uint64    `json:"settled,omitempty"` // once a ramp is done
	Listeners []uint32  `json:"listeners,omitempty"`
	Moved     []uint32  `json:"moved,omitempty"`
	Audit     *audit    `json:"audit,omitempty"`
	Snapshot  *snapshot `json:"snapshot,omitempty"`

	// Of another process.
	Schema string  `json:"schema,omitempty"`
	Now    int64   `json:"now,omitempty"`
	CPUs   int     `json:"cpus,omitempty"`
	Totals *totals `json:"totals,omitempty"` // unasked, whenever they change
}

// merge adds the answer of others to the same order.
func (a *answer) merge(o *answer) {
	a.Settled += o.Settled
	a.Listeners, a.Moved = sum(a.Listeners, o.Listeners), sum(a.Moved, o.Moved)
	switch {
	case a.Audit == nil:
		a.Audit = o.Audit
	case o.Audit != nil:
		a.Audit.add(*o.Audit)
	}
	switch {
	case a.Snapshot == nil:
		a.Snapshot = o.Snapshot
	case o.Snapshot != nil:
		a.Snapshot.add(o.Snapshot)
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

// snapshot is the sum over the loops.
type snapshot struct {
	Counters Counters `json:"counters"`
	Tallies  tallies  `json:"tallies"`
	Proxy    string   `json:"proxy"` // its name; empty: none was met

	Addresses []Address `json:"addresses"` // of the target, where it has several

	Busy  []time.Duration `json:"busy"` // per loop, in batches since the start
	Exact bool            `json:"exact"`
	CPU   time.Duration   `json:"cpu"` // of other processes of the run
	// Scratches is how many clients are in the middle of something.
	Scratches int `json:"scratches"`

	// Fresh is the latencies since the snapshot before, for transport one text
	// for each histogram, empty where it has no values.
	Fresh []string `json:"fresh"`
	fresh recorder
}

func newSnapshot() *snapshot {
	return &snapshot{Tallies: newTallies(), Exact: true, fresh: newRecorder()}
}

func (s *snapshot) add(o *snapshot) {
	s.Counters.add(&o.Counters)
	s.Tallies.merge(&o.Tallies)
	s.meet(o.Proxy)
	s.Addresses = addAddresses(s.Addresses, o.Addresses)
	s.Busy = append(s.Busy, o.Busy...)
	s.Exact = s.Exact && o.Exact
	s.CPU += o.CPU
	s.Scratches += o.Scratches
	o.fresh.drain(&s.fresh)
}

// pack writes the histograms as text, without loss.
func (s *snapshot) pack() error {
	for _, h := range s.fresh {
		if h.TotalCount() == 0 {
			s.Fresh = append(s.Fresh, "")
			continue
		}
		b, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
		if err != nil {
			return fmt.Errorf("encode a histogram: %w", err)
		}
		s.Fresh = append(s.Fresh, base64.StdEncoding.EncodeToString(b))
	}
	return nil
}

// unpack reads them again.
func (s *snapshot) unpack() error {
	s.fresh = newRecorder()
	for i, h := range s.fresh {
		if i >= len(s.Fresh) || s.Fresh[i] == "" {
			continue
		}
		b, err := base64.StdEncoding.DecodeString(s.Fresh[i])
		if err != nil {
			return fmt.Errorf("decode a histogram: %w", err)
		}
		part, err := hdrhistogram.Decode(b)
		if err != nil {
			return fmt.Errorf("decode a histogram: %w", err)
		}
		if dropped := h.Merge(part); dropped > 0 {
			return fmt.Errorf("decode a histogram: %d values out of range", dropped)
		}
	}
	s.Fresh = nil
	return nil
}
