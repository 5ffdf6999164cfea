package memory

import "testing"

// Large slices are counted with the rest of their last page.
func TestLargeSlicesAreCountedInPages(t *testing.T) {
	for _, n := range []int{32<<10 + 1, 60_000, 64 << 10, 1 << 20, 1_000_001} {
		if got, want := Allocated(n), cap(append([]byte(nil), make([]byte, n)...)); got != want {
			t.Errorf("%d bytes count %d, and take %d", n, got, want)
		}
	}
}
