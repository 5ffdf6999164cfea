package growth

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen"
	loadresult "github.com/pushgate/pushgate/internal/loadgen/result"
)

// The figures of the quiet channels' messages, and of the box meanwhile.
const (
	figureP50     figure = "quiet_p50_ms" // send to receipt
	figureP99     figure = "quiet_p99_ms"
	figureMax     figure = "quiet_max_ms"
	figureHost    figure = "host_cpu_share"
	figureRate    figure = "hot_deliveries_per_second"
	figureHotP99  figure = "hot_p99_ms"
	figureHotRate figure = "hot_messages_per_second"
)

// probeDeliveries per second on the hot channel show how much the box bears.
const probeDeliveries = 20_000

// measureHot publishes on quiet channels, by turns with and without messages on a
// hot one. The clients of both are there all the time.
func measureHot(ctx context.Context, l *lab, s scale, r *result) error {
	site, err := l.open(ctx, s)
	if err != nil {
		return err
	}
	defer site.close()
	if l.hotRate == 0 {
		if l.hotRate, err = site.bears(ctx, s); err != nil {
			return fmt.Errorf("probing: %w", err)
		}
	}
	without, with := r.at("without", 0), r.at("with", 1)
	for pair := range s.Pairs {
		steps := []*step{without, with}
		if (len(without.Figures[figureP50])+pair)%2 == 1 {
			steps = []*step{with, without}
		}
		for _, x := range steps {
			w, err := site.undisturbed(ctx, s, x.At*l.hotRate)
			if err != nil {
				return fmt.Errorf("%s the hot channel: %w", x.Name, err)
			}
			q := w.quiet.Fanout.Real
			x.add(figureP50, float64(q.P50)/ms)
			x.add(figureP99, float64(q.P99)/ms)
			x.add(figureMax, float64(q.Max)/ms)
			x.add(figureHost, w.host)
			x.add(figureOthers, w.others)
			if f := w.hot.Fanout; f != nil {
				x.add(figureRate, f.DeliveredPS)
				x.add(figureHotRate, f.PerSecond)
				x.add(figureHotP99, float64(f.Real.P99)/ms)
			}
			l.say("%s the hot channel: p99 %.2f ms", x.Name, float64(q.P99)/ms)
		}
	}
	return nil
}

// bears finds the messages per second on the hot channel that make the box as busy
// as it is to be. A delivery is dearer when there are few, so the first guess is too
// low and is followed by a second.
func (s *site) bears(ctx context.Context, sc scale) (rate float64, err error) {
	rate = probeDeliveries / float64(sc.Hot)
	for range 2 {
		w, err := s.undisturbed(ctx, sc, rate)
		if err != nil {
			return 0, err
		}
		busy := max(w.host-w.others, 0.01)
		s.lab.say("%.0f %% busy with %.0f messages/s", busy*100, rate)
		rate = math.Round(max(rate*sc.Busy/busy, 1))
	}
	return rate, nil
}

// window is one measurement of the quiet channels.
type window struct {
	quiet, hot *loadresult.Result
	host       float64 // share of all CPUs in use meanwhile
	others     float64 // of it, of other programs
}

// undisturbed is a window in which other programs left the box alone.
func (s *site) undisturbed(ctx context.Context, sc scale, rate float64) (w window, err error) {
	others, err := s.lab.alone(s, func() (err error) {
		w, err = s.beside(ctx, sc, rate)
		return err
	})
	w.others = others
	return w, err
}

// beside measures the quiet channels beside the hot one's clients, which get
// messages at a rate; 0 for none. The hot channel's run goes on a little longer
// at both ends.
func (s *site) beside(ctx context.Context, sc scale, rate float64) (w window, err error) {
	const margin = 4 * time.Second // a second until it is seen to have begun, and the quiet clients' coming and going
	hot := s.config
	hot.Channels, hot.Rate, hot.Size = "hot", rate, plainSize
	hot.Stages = fmt.Sprintf("->%d, hold %v", sc.Hot, sc.Window+margin)
	scenario := loadgen.Fanout
	if rate == 0 {
		scenario = loadgen.Idle
	}
	var begun sync.Once
	began, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		var err error
		w.hot, err = checked(scenario(ctx, hot, loadgen.Options{Progress: func(x loadresult.Sample) {
			if x.Phase == loadresult.PhaseHold || x.Phase == loadresult.PhasePublish {
				begun.Do(func() { close(began) })
			}
		}}))
		ended <- err
	}()
	select {
	case <-began:
	case err := <-ended:
		return w, fmt.Errorf("the hot channel ended early: %w", err)
	}
	quiet := s.config
	quiet.Connections, quiet.Channels, quiet.Size = sc.Quiet, "quiet.%i", plainSize
	quiet.Rate, quiet.Messages = sc.QuietRate, max(int(sc.QuietRate*sc.Window.Seconds()), 1)
	w.quiet, err = checked(loadgen.Fanout(ctx, quiet, loadgen.Options{}))
	overlapped := len(ended) == 0
	if hotErr := <-ended; err == nil {
		err = hotErr
	}
	if err != nil {
		return w, err
	}
	if !overlapped {
		return w, fmt.Errorf("the quiet messages took longer than the %v of the hot channel", sc.Window+margin)
	}
	n := 0.0
	for _, x := range w.quiet.Series {
		if x.Phase == loadresult.PhasePublish {
			w.host += x.HostCPU
			n++
		}
	}
	if n == 0 {
		return w, fmt.Errorf("no sample in %v", sc.Window)
	}
	w.host /= n
	return w, nil
}
