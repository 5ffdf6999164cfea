package fanout

import (
	"errors"
	"testing"
)

func TestPortion(t *testing.T) {
	var p portion
	adapt := func(n int, err error) {
		for range n {
			p.adapt(err)
		}
	}
	check := func(want int) {
		t.Helper()
		if got := p.of(settleBatch); got != want {
			t.Errorf("%d of %d, want %d", got, settleBatch, want)
		}
	}
	slow := errors.New("i/o timeout")
	adapt(100, nil)
	check(settleBatch)
	adapt(2, slow)
	check(settleBatch / 4)
	adapt(successesToDouble-1, nil)
	check(settleBatch / 4)
	adapt(1, nil)
	check(settleBatch / 2)
	adapt(100, slow)
	check(1)
	adapt(100*successesToDouble, nil)
	check(settleBatch)
}
