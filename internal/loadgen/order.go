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
	Totals []int64 `json:"totals,omitempty"` // unasked, whenever they change
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

// perform gives an order to this process's own loops.
func (e *engine) perform(o order) (a answer, err error) {
	n := float64(len(e.loops))
	switch o.Do {
	case doRamp:
		k := 0
		err = e.each(func(l *loop) {
			inFlight := e.plan.InFlight / len(e.loops)
			if k < e.plan.InFlight%len(e.loops) {
				inFlight++
			}
			k++
			c := &l.counters
			a.Settled += c.settled() + l.ramp(o.Target, o.Rate/n, inFlight)
			l.show()
		})
	case doPace:
		every := tickSlow
		if o.On {
			every = tickFast
		}
		e.tickEvery.Store(int64(every))
	case doBegin:
		a.Listeners, a.Moved = make([]uint32, len(o.Sequence)), make([]uint32, len(o.Sequence))
		err = e.each(func(l *loop) { l.begin(o.Sequence, o.On, a.Listeners, a.Moved) })
	case doAudit:
		a.Audit = &audit{Exact: true}
		err = e.each(func(l *loop) { l.audit(o.Sequence, o.Lapses, a.Audit) })
	case doCollect:
		a.Snapshot, err = e.gather()
	case doRecover:
		err = e.each(func(l *loop) { l.recover(o.On) })
	case doCut:
		err = e.each(func(l *loop) {
			l.leaves = leaves{active: true, limit: uint32(len(l.clients)), cut: true}
			l.show()
		})
	case doChurn:
		err = e.each(func(l *loop) { l.churnAt(o.Rate, e.plan.cast.movers) })
	case doSlow:
		err = e.each(func(l *loop) {
			if o.On {
				l.slowDown(l.plan.SlowRead)
			} else {
				l.speedUp()
			}
		})
	case doLeave:
		err = e.each((*loop).leave)
	default:
		err = fmt.Errorf("order %q is not known: the processes of this run are of different versions", o.Do)
	}
	return a, err
}

// snapshot is the sum over the loops.
type snapshot struct {
	Counters Counters `json:"counters"`
	Failures tally    `json:"failures"`
	Retries  tally    `json:"retries"` // failed attempts to come back
	Losses   tally    `json:"losses"`
	Errors   tally    `json:"errors"`
	Slow     tally    `json:"slow"` // slow clients that ended

	Deferrals tally  `json:"deferrals"` // answers that told a client to come later
	Cuts      tally  `json:"cuts"`      // connections that ended while a proxy was between
	Proxy     string `json:"proxy"`     // its name; empty: none was met

	Addresses []Address `json:"addresses"` // of the target, where it has several

	Busy  []time.Duration `json:"busy"` // per loop, in batches since the start
	Exact bool            `json:"exact"`
	CPU   time.Duration   `json:"cpu"` // of other processes of the run

	// Fresh is the latencies since the snapshot before, for transport one text
	// for each histogram, empty where it has no values.
	Fresh []string `json:"fresh"`
	fresh recorder
}

func newSnapshot() *snapshot {
	return &snapshot{Failures: make(tally), Retries: make(tally), Losses: make(tally), Errors: make(tally), Slow: make(tally),
		Deferrals: make(tally), Cuts: make(tally), Exact: true, fresh: newRecorder()}
}

func (s *snapshot) add(o *snapshot) {
	s.Counters.add(&o.Counters)
	s.Failures.merge(o.Failures)
	s.Retries.merge(o.Retries)
	s.Losses.merge(o.Losses)
	s.Errors.merge(o.Errors)
	s.Slow.merge(o.Slow)
	s.Deferrals.merge(o.Deferrals)
	s.Cuts.merge(o.Cuts)
	s.meet(o.Proxy)
	s.Addresses = addAddresses(s.Addresses, o.Addresses)
	s.Busy = append(s.Busy, o.Busy...)
	s.Exact = s.Exact && o.Exact
	s.CPU += o.CPU
	o.fresh.drain(&s.fresh)
}

// pack writes the histograms as text, without loss.
func (s *snapshot) pack() error {
	for _, h := range s.fresh.all() {
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
	for i, h := range s.fresh.all() {
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
