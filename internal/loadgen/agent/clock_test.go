package agent

import (
	"testing"

	"pgregory.net/rapid"
)

func TestReadClock(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		skew := rapid.Int64Range(-1e12, 1e12).Draw(t, "skew")
		delay := rapid.Int64Range(0, 1e9)
		var clock int64 = 1e15
		best := int64(1 << 62)
		c, err := readClock(func() int64 { return clock }, func() (int64, error) {
			there, back := delay.Draw(t, "there"), delay.Draw(t, "back")
			clock += there
			at := clock + skew
			clock += back
			best = min(best, (there+back)/2)
			return at, nil
		})
		if err != nil || c.uncertainty != best {
			t.Fatalf("%+v, %v, want a doubt of %d", c, err, best)
		}
		// The true offset is never further away than the doubt, but for rounding.
		if d := c.offset - skew; d > c.uncertainty+1 || d < -c.uncertainty-1 {
			t.Fatalf("offset %d, in truth %d, doubt %d", c.offset, skew, c.uncertainty)
		}
		if x := c.correction(); x != 0 && x != c.offset || x == 0 && (c.offset > c.uncertainty || c.offset < -c.uncertainty) {
			t.Fatalf("%+v is corrected by %d", c, x)
		}
	})
}
