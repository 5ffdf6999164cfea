package loadgen

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"github.com/pushgate/pushgate/internal/probe"
)

// totalsEvery is the least time between two reports of the totals.
const totalsEvery = 10 * time.Millisecond

// ServeAgent holds a share of another process's clients: it takes orders from
// in, one JSON object a line, and answers to out, until in ends.
func ServeAgent(ctx context.Context, in io.Reader, out io.Writer) error {
	return (&served{encoder: json.NewEncoder(out), began: time.Now()}).run(ctx, in)
}

// served is the state of one agent.
type served struct {
	// Immutable
	began time.Time     // the clock's zero before there is an engine
	skew  time.Duration // how wrong the clock is, for tests

	// Owned by run
	engine  *engine
	stopped chan struct{} // closed to end the reports; they answer with done
	done    chan struct{}

	// Guarded by mu
	mu      sync.Mutex
	encoder *json.Encoder
	last    totals // that were sent
}

// run obeys until in ends. The goroutine that reads ends with in.
func (s *served) run(ctx context.Context, in io.Reader) error {
	defer s.close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	orders, ended := make(chan order), make(chan error, 1)
	go func() {
		d := json.NewDecoder(in)
		for {
			var o order
			if err := d.Decode(&o); err != nil {
				ended <- err
				return
			}
			select {
			case orders <- o:
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		select {
		case o := <-orders:
			x, err := s.obey(ctx, o)
			x.ID = o.ID
			if err != nil {
				usage := (*UsageError)(nil)
				x.Error, x.Usage = err.Error(), errors.As(err, &usage)
			}
			if err := s.answer(x); err != nil {
				return err
			}
		case err := <-ended:
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return nil
			}
			return fmt.Errorf("order: %w", err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// answer writes an answer with the totals of its moment, so that who gave the
// order does not decide by older ones.
func (s *served) answer(x answer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.engine != nil {
		s.last = s.engine.totals()
		x.Totals = s.last.list()
	}
	if err := s.encoder.Encode(x); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	return nil
}

// tell writes the totals if they have changed.
func (s *served) tell() error {
	s.mu.Lock()
	changed := s.engine.totals() != s.last
	s.mu.Unlock()
	if !changed {
		return nil
	}
	return s.answer(answer{})
}

func (s *served) obey(ctx context.Context, o order) (x answer, err error) {
	switch {
	case o.Do == doClock:
		now := s.began.UnixNano() + int64(time.Since(s.began)+s.skew)
		if s.engine != nil {
			now = s.engine.now()
		}
		return answer{Now: now, Schema: Schema, CPUs: runtime.GOMAXPROCS(0)}, nil
	case o.Do == doStart && s.engine == nil:
		return x, s.start(ctx, o)
	case s.engine == nil:
		return x, fmt.Errorf("order %q before %q", o.Do, doStart)
	}
	if x, err = s.engine.perform(o); err != nil || x.Snapshot == nil {
		return x, err
	}
	x.Snapshot.CPU = probe.OwnCPU()
	return x, x.Snapshot.pack()
}

// start makes the engine and reports its totals from then on.
func (s *served) start(ctx context.Context, o order) error {
	if o.Config == nil {
		return errors.New("no configuration")
	}
	limits, err := readHostLimits()
	if err != nil {
		return err
	}
	c := *o.Config
	c.keyData, c.caData = o.Key, o.CA
	p, err := newPlan(ctx, c, limits)
	if err != nil {
		return err
	}
	p.run, p.proxy = o.Run, o.Proxy
	if _, err := p.reach(ctx, limits); err != nil {
		return err
	}
	e, err := newEngine(p)
	if err != nil {
		return err
	}
	e.wall += int64(s.skew) - o.Offset
	if err := e.start(); err != nil {
		return err
	}
	s.engine, s.stopped, s.done = e, make(chan struct{}), make(chan struct{})
	go s.report()
	return nil
}

// report sends the totals whenever they have changed, until close.
func (s *served) report() {
	defer close(s.done)
	t := time.NewTicker(totalsEvery)
	defer t.Stop()
	for {
		select {
		case <-s.stopped:
			return
		case <-s.engine.dead:
			s.answer(answer{Error: s.engine.fault.Error()})
			return
		case <-t.C:
		}
		if s.tell() != nil {
			return
		}
	}
}

func (s *served) close() {
	if s.engine == nil {
		return
	}
	close(s.stopped)
	<-s.done
	s.engine.close()
}
