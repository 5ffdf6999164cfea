package chart

import (
	"fmt"
	"math"
)

// Grouped writes a number with a comma between thousands, and with the digits
// after the point that a small one needs.
func Grouped(v float64) string {
	if v != math.Trunc(v) && v < 100 {
		return fmt.Sprintf("%.3g", v)
	}
	digits := fmt.Sprintf("%.0f", math.Abs(v))
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	if v < 0 {
		return "-" + digits
	}
	return digits
}
