package capacity

import (
	"cmp"
	"math"
	"slices"
)

// Point is one measurement: y at x.
type Point struct {
	X float64 `json:"x"`
	Y float64 `json:"y"`
}

// Fit is the straight line through points with the least squares, and how
// well it fits.
type Fit struct {
	Base  float64 `json:"base"`  // y at 0
	Slope float64 `json:"slope"` // y for each x
	// R2 is the part of the spread of y that the line explains, 1 at best.
	R2 float64 `json:"r2"`
	// SlopeError is the standard error of the slope; Residual the standard
	// deviation of the points from the line.
	SlopeError float64 `json:"slope_error"`
	Residual   float64 `json:"residual"`
	// Largest is the largest distance of a point from the line.
	Largest float64 `json:"largest_residual"`
	Points  []Point `json:"points"`

	meanX, sumX2 float64
}

// fewPoints is how many a line needs for its errors to mean something.
const fewPoints = 3

// FitLine fits a line; nil where the points don't make one.
func FitLine(points []Point) *Fit {
	n := float64(len(points))
	if len(points) < fewPoints {
		return nil
	}
	var meanX, meanY float64
	for _, p := range points {
		meanX += p.X / n
		meanY += p.Y / n
	}
	var xx, xy, yy float64
	for _, p := range points {
		dx, dy := p.X-meanX, p.Y-meanY
		xx += dx * dx
		xy += dx * dy
		yy += dy * dy
	}
	if xx == 0 || math.IsNaN(xy) || math.IsInf(xx, 0) || math.IsInf(xy, 0) {
		return nil // all at one x
	}
	f := &Fit{Slope: xy / xx, R2: 1, Points: points, meanX: meanX, sumX2: xx}
	f.Base = meanY - f.Slope*meanX
	rest := 0.0
	for _, p := range points {
		d := p.Y - f.At(p.X)
		rest += d * d
		f.Largest = max(f.Largest, math.Abs(d))
	}
	if yy > 0 {
		f.R2 = max(1-rest/yy, 0)
	}
	f.Residual = math.Sqrt(rest / (n - 2))
	f.SlopeError = f.Residual / math.Sqrt(xx)
	return f
}

// straight is from which R2 on a line counts as straight in fitLower.
const straight = 0.98

// fitLower fits a line to the lower points: those with the largest x are left
// out until the rest is straight, or few. Under load, messages are written
// together and each costs less; the bill must not count on that.
func fitLower(points []Point) *Fit {
	sorted := slices.SortedFunc(slices.Values(points), func(a, b Point) int { return cmp.Compare(a.X, b.X) })
	f := FitLine(sorted)
	for f != nil && f.R2 < straight && len(sorted) > fewPoints+1 {
		sorted = sorted[:len(sorted)-1]
		f = FitLine(sorted)
	}
	return f
}

// At returns the line's value.
func (f *Fit) At(x float64) float64 { return f.Base + f.Slope*x }

// Uncertainty returns twice the standard error of a prediction at x, by scatter
// alone. It knows nothing of a line that bends further out.
func (f *Fit) Uncertainty(x float64) float64 {
	n := float64(len(f.Points))
	d := x - f.meanX
	return 2 * f.Residual * math.Sqrt(1+1/n+d*d/f.sumX2)
}

// Good reports whether the line explains the measurements.
func (f *Fit) Good() bool { return f.R2 >= 0.9 && f.Slope > 0 }
