// Package units reads and writes numbers with their units, in one way for flags,
// files, tables and reports: digits, a decimal point if need be, and k for thousand
// or M for a million; bytes with KiB, MiB or GiB, powers of 1,024. Ambiguous
// units are refused: K, m, and KB, which is 1,000 to some and 1,024 to others.
package units

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Factors are the units that a number may end in. An empty one lets the bare
// number pass.
type Factors map[string]float64

// The units of numbers, of rates and of sizes.
var (
	Counts    = Factors{"": 1, "k": 1e3, "M": 1e6}
	Rates     = Factors{"": 1, "k": 1e3, "M": 1e6, "/s": 1, "k/s": 1e3, "M/s": 1e6}
	Sizes     = Factors{"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
	Durations = Factors{"ns": 1, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9}
)

var bareSizes = Factors{"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}

// most is the largest number that is taken: all whole numbers up to it are exact.
const most = 1 << 53

// ParseCount reads a whole number such as 500, 10k or 1.5M.
func ParseCount(text string) (int, error) {
	v, err := Parse(text, Counts, "a whole number such as 500, 10k or 1.5M")
	if err == nil && v != math.Trunc(v) {
		err = fmt.Errorf("%q is not a whole number", text)
	}
	return int(v), err
}

// ParseRate reads a number per second, such as 500, 10k or 2.5/s.
func ParseRate(text string) (float64, error) {
	return Parse(text, Rates, "a number per second such as 500, 10k or 2.5/s")
}

// ParseSize reads a number of bytes such as 128, 16KiB or 1.5MiB.
func ParseSize(text string) (int, error) {
	v, err := Parse(text, bareSizes, "a number of bytes such as 128, 16KiB or 1.5MiB")
	if err == nil && v != math.Trunc(v) {
		err = fmt.Errorf("%q is not a whole number of bytes", text)
	}
	return int(v), err
}

// Parse reads a number that is not below 0, with a unit; want names in an error
// the accepted form.
func Parse(text string, known Factors, want string) (float64, error) {
	number, unit := text, ""
	if end := strings.IndexFunc(text, func(r rune) bool { return (r < '0' || r > '9') && r != '.' }); end >= 0 {
		number, unit = text[:end], strings.TrimSpace(text[end:])
	}
	v, err := strconv.ParseFloat(number, 64)
	factor, ok := known[unit]
	if err != nil || !ok || v*factor > most {
		return 0, fmt.Errorf("%q is not %s%s", text, want, advice(unit, known))
	}
	// 1.1k is 1100 and not a little more.
	return math.Round(v*factor*1e6) / 1e6, nil
}

// advice names the unit to write in place of one that others use.
func advice(unit string, known Factors) string {
	bare := strings.TrimSuffix(unit, "/s")
	if _, sizes := known["KiB"]; sizes {
		switch strings.TrimSuffix(strings.TrimSuffix(strings.ToLower(bare), "b"), "i") {
		case "k":
			return "; write KiB for 1,024 bytes"
		case "m":
			return "; write MiB for 1,048,576 bytes"
		case "g":
			return "; write GiB for 1,073,741,824 bytes"
		}
	}
	if _, numbers := known["k"]; numbers {
		switch bare {
		case "K":
			return "; write k for thousand"
		case "m":
			return "; write M for a million"
		}
	}
	return ""
}

// Number writes a number in full, as it is read again.
func Number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// Short writes whole numbers in full and others with three digits.
func Short(v float64) string {
	if v == math.Trunc(v) || math.Abs(v) >= 999.5 { // three digits of 999.5 are 1e+03
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// Bytes writes a measured size with three to five digits, such as 640 B,
// 12.4 MiB or 1.50 GiB.
func Bytes(n float64) string {
	switch {
	case n < 0:
		return "-" + Bytes(-n)
	case n >= 1<<30:
		return fmt.Sprintf("%.2f GiB", n/(1<<30))
	case n >= 10<<20:
		return fmt.Sprintf("%.1f MiB", n/(1<<20))
	case n >= 10<<10:
		return fmt.Sprintf("%.1f KiB", n/(1<<10))
	}
	return fmt.Sprintf("%.0f B", n)
}

// WholeBytes writes a size that was chosen, or is to be provided: 16 KiB,
// 512 MiB or 1.5 GiB.
func WholeBytes(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d B", n)
}

// Duration writes a duration with two to four digits, such as 840 us or 1.25 s.
func Duration(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d >= 100*time.Millisecond:
		return fmt.Sprintf("%.0f ms", float64(d)/1e6)
	case d >= time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/1e6)
	case d < 10*time.Microsecond:
		return fmt.Sprintf("%.1f us", float64(d)/1e3)
	}
	return fmt.Sprintf("%.0f us", float64(d)/1e3)
}
