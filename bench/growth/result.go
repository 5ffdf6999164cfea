package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/pushgate/pushgate/bench/rig"
)

// result is what a part found out.
type result struct {
	Part    string  `json:"part"`
	Date    string  `json:"date"`
	Machine machine `json:"machine"`
	Repeat  int     `json:"repeat"`
	Seconds float64 `json:"seconds"`
	Scale   scale   `json:"scale"`
	Steps   []*step `json:"steps"`
}

// machine is where it ran.
type machine struct {
	rig.Machine
	Redis string `json:"redis"` // the server's version
}

// step is one load. A figure has a value for each time that it was measured.
type step struct {
	Name    string            `json:"name"`
	At      float64           `json:"at"` // on the chart's axis
	Figures map[figure]values `json:"figures"`
}

// figure names what was measured, with its unit.
type figure string

func newResult(part string, s scale, repeat int) *result {
	return &result{Part: part, Date: time.Now().UTC().Format(time.DateOnly), Machine: machine{rig.ThisMachine(), redisVersion()}, Scale: s, Repeat: repeat}
}

// find returns the step of that name, an empty one where there is none.
func (r *result) find(name string) *step {
	if i := slices.IndexFunc(r.Steps, func(s *step) bool { return s.Name == name }); i >= 0 {
		return r.Steps[i]
	}
	return &step{Name: name}
}

// at returns the step of that name, a new one the first time.
func (r *result) at(name string, at float64) *step {
	i := slices.IndexFunc(r.Steps, func(s *step) bool { return s.Name == name })
	if i < 0 {
		i = len(r.Steps)
		r.Steps = append(r.Steps, &step{Name: name, At: at, Figures: make(map[figure]values)})
	}
	return r.Steps[i]
}

// of returns a figure's values.
func (s *step) of(f figure) values { return s.Figures[f] }

func (s *step) add(f figure, v float64) { s.Figures[f] = append(s.Figures[f], v) }

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

// keep writes the result beside the charts, so that the page can be made anew.
func (r *result) keep(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, r.Part+".json"), append(text, '\n'), 0o644)
}

// kept returns a part's result, nil where it was never measured.
func kept(dir, part string) (*result, error) {
	text, err := os.ReadFile(filepath.Join(dir, part+".json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r := new(result)
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("%s.json: %w", part, err)
	}
	return r, r.complete()
}
