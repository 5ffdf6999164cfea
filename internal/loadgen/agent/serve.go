package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/client"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
	"github.com/pushgate/pushgate/internal/loadgen/result"
	"github.com/pushgate/pushgate/internal/probe"
)

// totalsEvery is the least time between two reports of the totals.
const totalsEvery = 10 * time.Millisecond

// Serve holds a share of another process's clients: it takes commands from in, one
// JSON object a line, and answers to out, until in ends. Its clock is ahead of the
// host's, which only tests want.
func Serve(ctx context.Context, in io.Reader, out io.Writer, ahead time.Duration) error {
	return (&server{encoder: json.NewEncoder(out), clock: client.NewClock(ahead), ahead: ahead}).run(ctx, in)
}

// server is the state of one agent.
type server struct {
	// Immutable
	clock client.Clock // before there is an engine
	ahead time.Duration

	// Owned by run
	engine  *client.Engine
	stopped chan struct{} // closed to end the reports; they answer with done
	done    chan struct{}

	// Guarded by mu
	mu      sync.Mutex
	encoder *json.Encoder
	last    account.Totals // that were sent
}

// run obeys until in ends. The goroutine that reads ends with in.
func (s *server) run(ctx context.Context, in io.Reader) error {
	defer s.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	commands, ended := make(chan client.Command), make(chan error, 1)
	go func() {
		d := json.NewDecoder(in)
		for {
			var o client.Command
			if err := d.Decode(&o); err != nil {
				ended <- err
				return
			}
			select {
			case commands <- o:
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		select {
		case o := <-commands:
			x, err := s.execute(ctx, o)
			x.ID = o.ID
			if err != nil {
				usage := (*plan.UsageError)(nil)
				x.Error, x.Usage = err.Error(), errors.As(err, &usage)
			}
			if err := s.answer(x); err != nil {
				return err
			}
		case err := <-ended:
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return nil
			}
			return fmt.Errorf("command: %w", err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// answer writes an answer with the totals of its moment, so that the sender of the
// command does not decide by older ones.
func (s *server) answer(x client.Answer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.engine != nil {
		s.last = s.engine.Totals()
		x.Totals = &s.last
	}
	if err := s.encoder.Encode(x); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	return nil
}

// tell writes the totals if they have changed.
func (s *server) tell() error {
	s.mu.Lock()
	changed := s.engine.Totals() != s.last
	s.mu.Unlock()
	if !changed {
		return nil
	}
	return s.answer(client.Answer{})
}

func (s *server) execute(ctx context.Context, o client.Command) (x client.Answer, err error) {
	switch {
	case o.Do == client.DoClock:
		now := s.clock.Now()
		if s.engine != nil {
			now = s.engine.Clock.Now()
		}
		return client.Answer{Now: now, Schema: result.Schema, CPUs: runtime.GOMAXPROCS(0)}, nil
	case o.Do == client.DoStart && s.engine == nil:
		return x, s.start(ctx, o)
	case s.engine == nil:
		return x, fmt.Errorf("command %q before %q", o.Do, client.DoStart)
	}
	if x, err = s.engine.Execute(o); err != nil || x.Snapshot == nil {
		return x, err
	}
	x.Snapshot.CPU = probe.OwnCPU()
	return x, nil
}

// start makes the engine and reports its totals from then on.
func (s *server) start(ctx context.Context, o client.Command) error {
	if o.Config == nil {
		return errors.New("no configuration")
	}
	limits, err := plan.ReadHostLimits()
	if err != nil {
		return err
	}
	c := *o.Config
	c.KeyData, c.CAData = o.Key, o.CA
	p, err := plan.New(ctx, c, limits)
	if err != nil {
		return err
	}
	p.RunID, p.Proxy = o.Run, o.Proxy
	if _, err := p.Reach(ctx, limits); err != nil {
		return err
	}
	e, err := client.New(p, client.NewClock(s.ahead-time.Duration(o.Offset)), client.NewSignals())
	if err != nil {
		return err
	}
	if err := e.Start(); err != nil {
		return err
	}
	s.engine, s.stopped, s.done = e, make(chan struct{}), make(chan struct{})
	go s.report()
	return nil
}

// report sends the totals whenever they have changed, until close.
func (s *server) report() {
	defer close(s.done)
	t := time.NewTicker(totalsEvery)
	defer t.Stop()
	for {
		select {
		case <-s.stopped:
			return
		case <-s.engine.Signals.Dead:
			s.answer(client.Answer{Error: s.engine.Signals.Fault.Error()})
			return
		case <-t.C:
		}
		if s.tell() != nil {
			return
		}
	}
}

func (s *server) Close() {
	if s.engine == nil {
		return
	}
	close(s.stopped)
	<-s.done
	s.engine.Close()
}
