package growth

import (
	"errors"
	"fmt"
	"math"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/pushgate/pushgate/bench/page"
	"github.com/pushgate/pushgate/bench/rig"
)

// result is one part's.
type result struct {
	Part    string  `json:"part"`
	Date    string  `json:"date"`
	Machine machine `json:"machine"`
	Repeat  int     `json:"repeat"`
	Seconds float64 `json:"seconds"`
	Scale   scale   `json:"scale"`
	Steps   []*step `json:"steps"`
}

// machine is the box and its Redis.
type machine struct {
	rig.Machine
	Redis string `json:"redis"` // the server's version
}

// step is one load. A figure has a value for each time that it was measured.
type step struct {
	Name    string                `json:"name"`
	At      float64               `json:"at"` // on the chart's axis
	Figures map[figure]rig.Values `json:"figures"`
}

// figure is the name of a measurement, with its unit.
type figure string

func newResult(part string, s scale, repeat int) *result {
	return &result{Part: part, Date: time.Now().UTC().Format(time.DateOnly), Machine: machine{rig.ThisMachine(), redisVersion()}, Scale: s, Repeat: repeat}
}

// at returns the step of that name, a new one the first time.
func (r *result) at(name string, at float64) *step {
	i := slices.IndexFunc(r.Steps, func(s *step) bool { return s.Name == name })
	if i < 0 {
		i = len(r.Steps)
		r.Steps = append(r.Steps, &step{Name: name, At: at, Figures: make(map[figure]rig.Values)})
	}
	return r.Steps[i]
}

// Of returns a figure's values, or those that are computed from others.
func (s *step) Of(f figure) rig.Values {
	if of, ok := derived[f]; ok {
		return of(s)
	}
	return s.Figures[f]
}

func kernel(s *step) rig.Values {
	return s.Figures[figureCPU].With(s.Figures[figureKernel], func(cpu, share float64) float64 { return cpu * share })
}

// derived are figures of the page. CPU time is the delivery's, in and out of the
// kernel.
var derived = map[figure]func(s *step) rig.Values{
	"rss_mib":             func(s *step) rig.Values { return s.Figures[figureRSS].Times(1.0 / (1 << 20)) },
	"live_mib":            func(s *step) rig.Values { return s.Figures[figureLive].Times(1.0 / (1 << 20)) },
	"rss_each":            func(s *step) rig.Values { return s.Figures[figureRSS].Times(1 / s.At) },
	"kernel_us":           kernel,
	"own_us":              func(s *step) rig.Values { return s.Figures[figureCPU].Minus(kernel(s)) },
	"cpu_per_delivery_ns": func(s *step) rig.Values { return s.Figures[figureCPU].Times(1e3) },
	"ns_per_byte":         func(s *step) rig.Values { return s.Figures[figureCPU].Times(1e3 / s.At) },
	"deliveries_per_message": func(s *step) rig.Values {
		return s.Figures[figurePerMsg].With(s.Figures[figureCPU], func(message, delivery float64) float64 { return message / delivery })
	},
}

func (s *step) add(f figure, v float64) { s.Figures[f] = append(s.Figures[f], v) }

func (s *step) addMemory(m memory) {
	s.add(figureRSS, m.rss)
	s.add(figureLive, m.live)
}

func (s *step) addSent(p sent) {
	s.add(figureMessages, float64(p.Fanout.Published))
	s.add(figureCPU, p.cpu)
	s.add(figureKernel, p.kernel)
	s.add(figureOthers, p.others)
}

// complete refuses a result with holes or with values that are no numbers.
func (r *result) complete() error {
	if len(r.Steps) == 0 {
		return errors.New("nothing was measured")
	}
	for _, s := range r.Steps {
		for f, values := range s.Figures {
			if len(values) == 0 || len(values)%r.Repeat != 0 {
				return fmt.Errorf("%s: %d values of %s in %d rounds", s.Name, len(values), f, r.Repeat)
			}
			for _, v := range values {
				if math.IsNaN(v) || math.IsInf(v, 0) {
					return fmt.Errorf("%s: %s is %v", s.Name, f, v)
				}
			}
		}
	}
	return nil
}

// kept returns a part's result, nil where it was never measured.
func kept(dir, part string) (*result, error) {
	all, err := page.Kept[result](dir, part)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return all[0], all[0].complete()
}

// redisVersion is the server's own word, short.
func redisVersion() string {
	out, _ := exec.Command("redis-server", "--version").Output()
	_, rest, _ := strings.Cut(string(out), "v=")
	version, _, _ := strings.Cut(rest, " ")
	return version
}
