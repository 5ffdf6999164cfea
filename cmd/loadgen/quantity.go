package main

import (
	"strconv"

	"github.com/spf13/pflag"

	"github.com/pushgate/pushgate/internal/units"
)

// The flags for numbers are read as loadgen reads all quantities: 10k, 1.5M,
// 16KiB.

type countFlag int

func (f *countFlag) String() string { return strconv.Itoa(int(*f)) }
func (f *countFlag) Type() string   { return "count" }
func (f *countFlag) Set(text string) error {
	n, err := units.ParseCount(text)
	if err == nil {
		*f = countFlag(n)
	}
	return err
}

type rateFlag float64

func (f *rateFlag) String() string { return units.Number(float64(*f)) }
func (f *rateFlag) Type() string   { return "rate" }
func (f *rateFlag) Set(text string) error {
	v, err := units.ParseRate(text)
	if err == nil {
		*f = rateFlag(v)
	}
	return err
}

type sizeFlag int

func (f *sizeFlag) String() string { return strconv.Itoa(int(*f)) }
func (f *sizeFlag) Type() string   { return "bytes" }
func (f *sizeFlag) Set(text string) error {
	n, err := units.ParseSize(text)
	if err == nil {
		*f = sizeFlag(n)
	}
	return err
}

// countVar, rateVar and sizeVar declare flags whose defaults are what they point
// to; a shorthand may be empty.

func countVar(s *pflag.FlagSet, p *int, name, shorthand, about string) {
	s.VarP((*countFlag)(p), name, shorthand, about)
}

func rateVar(s *pflag.FlagSet, p *float64, name, about string) { s.Var((*rateFlag)(p), name, about) }
func sizeVar(s *pflag.FlagSet, p *int, name, about string)     { s.Var((*sizeFlag)(p), name, about) }
