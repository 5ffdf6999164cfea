package loadgen

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Quantities are written in one way everywhere, in flags, scenario files, stages
// and SLOs: digits, a decimal point if need be, and k for thousand or M for a
// million; bytes with KiB, MiB or GiB, powers of 1,024. What others read in two
// ways is refused: K, m, and KB, which is 1,000 to some and 1,024 to others.

// units are the words that a quantity may end in. An empty one lets the bare
// number pass.
type units map[string]float64

var (
	countUnits = units{"": 1, "k": 1e3, "M": 1e6}
	rateUnits  = units{"": 1, "k": 1e3, "M": 1e6, "/s": 1, "k/s": 1e3, "M/s": 1e6}
	sizeUnits  = units{"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
)

// mostQuantity is the largest that is taken: all whole numbers up to it are exact.
const mostQuantity = 1 << 53

// ParseCount reads a whole number such as 500, 10k or 1.5M.
func ParseCount(text string) (int, error) {
	v, err := parseQuantity(text, countUnits, "a whole number such as 500, 10k or 1.5M")
	if err == nil && v != math.Trunc(v) {
		err = fmt.Errorf("%q is not a whole number", text)
	}
	return int(v), err
}

// ParseRate reads a number for each second, such as 500, 10k or 2.5/s.
func ParseRate(text string) (float64, error) {
	return parseQuantity(text, rateUnits, "a number per second such as 500, 10k or 2.5/s")
}

// ParseSize reads a number of bytes such as 128, 16KiB or 1.5MiB.
func ParseSize(text string) (int, error) {
	v, err := parseQuantity(text, sizeUnits, "a number of bytes such as 128, 16KiB or 1.5MiB")
	if err == nil && v != math.Trunc(v) {
		err = fmt.Errorf("%q is not a whole number of bytes", text)
	}
	return int(v), err
}

// parseQuantity reads a number that is not below 0, with a unit.
func parseQuantity(text string, known units, want string) (float64, error) {
	number, unit := splitUnit(text)
	v, err := strconv.ParseFloat(number, 64)
	factor, ok := known[unit]
	if err != nil || !ok || v*factor > mostQuantity {
		return 0, fmt.Errorf("%q is not %s%s", text, want, ambiguous(unit, known))
	}
	// 1.1k is 1100 and not a little more.
	return math.Round(v*factor*1e6) / 1e6, nil
}

// splitUnit divides a text behind its digits.
func splitUnit(text string) (number, unit string) {
	end := strings.IndexFunc(text, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	if end < 0 {
		return text, ""
	}
	return text[:end], strings.TrimSpace(text[end:])
}

// ambiguous says what to write for a unit that is not one of these and that
// others use, else nothing.
func ambiguous(unit string, known units) string {
	bare := strings.TrimSuffix(unit, "/s")
	_, bytes := known["KiB"]
	_, numbers := known["k"]
	switch {
	case bytes && (strings.EqualFold(bare, "k") || strings.EqualFold(bare, "kb") || strings.EqualFold(bare, "kib")):
		return "; write KiB for 1,024 bytes"
	case bytes && (strings.EqualFold(bare, "m") || strings.EqualFold(bare, "mb") || strings.EqualFold(bare, "mib")):
		return "; write MiB for 1,048,576 bytes"
	case bytes && (strings.EqualFold(bare, "g") || strings.EqualFold(bare, "gb") || strings.EqualFold(bare, "gib")):
		return "; write GiB for 1,073,741,824 bytes"
	case numbers && bare == "K":
		return "; write k for thousand"
	case numbers && bare == "m":
		return "; write M for a million"
	}
	return ""
}

// FormatQuantity writes a number in full, as it is read again.
func FormatQuantity(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
