package main

import (
	"strconv"

	"github.com/spf13/pflag"

	"github.com/pushgate/pushgate/internal/units"
)

// quantity is the value of a flag that is written as 10k, 1.5M or 16KiB.
type quantity[T int | float64] struct {
	value *T
	kind  string
	parse func(text string) (T, error)
}

func (q quantity[T]) String() string {
	switch {
	case q.value == nil: // pflag asks a zero value
		return "0"
	case q.kind == "rate":
		return units.Number(float64(*q.value))
	}
	return strconv.Itoa(int(*q.value))
}

func (q quantity[T]) Type() string { return q.kind }

func (q quantity[T]) Set(text string) error {
	v, err := q.parse(text)
	if err == nil {
		*q.value = v
	}
	return err
}

// countVar, rateVar and sizeVar declare flags with the present values as defaults;
// a shorthand may be empty.

func countVar(s *pflag.FlagSet, p *int, name, shorthand, about string) {
	s.VarP(quantity[int]{p, "count", units.ParseCount}, name, shorthand, about)
}

func rateVar(s *pflag.FlagSet, p *float64, name, about string) {
	s.Var(quantity[float64]{p, "rate", units.ParseRate}, name, about)
}

func sizeVar(s *pflag.FlagSet, p *int, name, about string) {
	s.Var(quantity[int]{p, "bytes", units.ParseSize}, name, about)
}
