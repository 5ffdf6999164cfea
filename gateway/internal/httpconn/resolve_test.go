package httpconn

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/limit"
)

func TestResolveTakesNoMemory(t *testing.T) {
	h := New(&Shared{}, &Options{}, &limit.Clients{}, slog.New(slog.DiscardHandler), nil)
	h.Handle(&Route{Path: "/v1/ws"})
	for _, path := range []string{"/v1/ws", "//v1//ws/", "/v1/nothing", "/" + strings.Repeat("x", 100)} {
		sent := []byte(path)
		var r http1.Request
		if n := testing.AllocsPerRun(100, func() { r.Path = sent; h.router.resolve(&r) }); n != 0 {
			t.Errorf("%s: %v allocations", path, n)
		}
	}
}
