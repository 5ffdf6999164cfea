package capacity

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// TestFitFindsTheLine draws a line, takes points of it and wants it back.
func TestFitFindsTheLine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := rapid.Float64Range(-1e9, 1e9).Draw(t, "base")
		slope := rapid.Float64Range(-1e4, 1e4).Draw(t, "slope")
		xs := rapid.SliceOfNDistinct(rapid.IntRange(0, 1_000_000), 3, 12, rapid.ID[int]).Draw(t, "x")
		var points []Point
		for _, x := range xs {
			points = append(points, Point{float64(x), base + slope*float64(x)})
		}
		f := FitLine(points)
		if f == nil {
			t.Fatal("no line")
		}
		scale := math.Abs(base) + math.Abs(slope)*1e6 + 1
		for _, x := range []float64{0, 500, 1e6} {
			if d := math.Abs(f.At(x) - (base + slope*x)); d > 1e-6*scale {
				t.Fatalf("at %v off by %v: %+v", x, d, f)
			}
		}
		if f.R2 < 1-1e-6 && math.Abs(slope) > 1e-3 || f.Residual > 1e-6*scale {
			t.Fatalf("a perfect line: %+v", f)
		}
	})
}

// TestFitKnown compares with figures computed by hand.
func TestFitKnown(t *testing.T) {
	f := FitLine([]Point{{1, 2}, {2, 4}, {3, 5}, {4, 4}, {5, 5}})
	if f == nil {
		t.Fatal("no line")
	}
	for name, x := range map[string][2]float64{
		"base": {f.Base, 2.2}, "slope": {f.Slope, 0.6}, "R2": {f.R2, 0.6}, "residual": {f.Residual, math.Sqrt(2.4 / 3)},
		"slope error": {f.SlopeError, math.Sqrt(0.08)}, "largest": {f.Largest, 1},
		"uncertainty": {f.Uncertainty(8), 2 * math.Sqrt(0.8) * math.Sqrt(1+0.2+2.5)},
	} {
		if math.Abs(x[0]-x[1]) > 1e-12 {
			t.Errorf("%s: %v, want %v", name, x[0], x[1])
		}
	}
}

func TestFitRefuses(t *testing.T) {
	for name, points := range map[string][]Point{
		"nothing": nil, "two points": {{1, 1}, {2, 2}}, "one place": {{1, 1}, {1, 2}, {1, 3}},
	} {
		if f := FitLine(points); f != nil {
			t.Errorf("%s: %+v", name, f)
		}
	}
	if f := FitLine([]Point{{1, 5}, {2, 5}, {3, 5}}); f == nil || f.Slope != 0 || f.Good() {
		t.Errorf("a flat line: %+v", f)
	}
}
