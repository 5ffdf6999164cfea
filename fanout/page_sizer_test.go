package fanout

import (
	"errors"
	"testing"
)

func TestPageSizer(t *testing.T) {
	var p pageSizer
	adapt := func(n int, err error) {
		for range n {
			p.adapt(err)
		}
	}
	check := func(want int) {
		t.Helper()
		if got := p.of(resyncBatch); got != want {
			t.Errorf("%d of %d, want %d", got, resyncBatch, want)
		}
	}
	slow := errors.New("i/o timeout")
	adapt(100, nil)
	check(resyncBatch)
	adapt(2, slow)
	check(resyncBatch / 4)
	adapt(successesToDouble-1, nil)
	check(resyncBatch / 4)
	adapt(1, nil)
	check(resyncBatch / 2)
	adapt(100, slow)
	check(1)
	adapt(100*successesToDouble, nil)
	check(resyncBatch)
}
