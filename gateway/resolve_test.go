package gateway

import (
	"strings"
	"testing"

	"github.com/pushgate/pushgate/gateway/http1"
)

func TestResolveTakesNoMemory(t *testing.T) {
	for _, path := range []string{"/v1/ws", "//v1//ws/", "/v1/nothing", "/" + strings.Repeat("x", 100)} {
		sent := []byte(path)
		var r http1.Request
		if n := testing.AllocsPerRun(100, func() { r.Path = sent; resolve(&r) }); n != 0 {
			t.Errorf("%s: %v allocations", path, n)
		}
	}
}
