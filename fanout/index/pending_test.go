package index

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pushgate/pushgate/fanout/internal/memory"
	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/internal/gatewaytest"
)

// mixes is the sizes of payloads of messages, one after the other, on so many channels.
var mixes = map[string]struct {
	sizes    []int
	channels int
}{
	"tiny":                  {[]int{1}, 100},
	"tiny, a channel each":  {[]int{1}, 100_000},
	"large":                 {[]int{64 << 10}, 100},
	"all sizes":             {[]int{1, 200, 4 << 10, 64 << 10}, 100},
	"small, a channel each": {[]int{200}, 20_000},
}

// An index's pending messages take about the memory counted, with one encoding of each message
// or without.
func TestPendingTakesWhatIsCounted(t *testing.T) {
	for name, mix := range mixes {
		t.Run(name, func(t *testing.T) {
			x := New()
			channels := make([]Channel, mix.channels)
			names := make([]string, mix.channels)
			for i := range channels {
				names[i] = fmt.Sprint("c", i)
				channels[i] = x.Open([]byte(names[i]))
				x.Subscribe(new(List), uint32(i), channels[i])
			}
			var messages []*message.Message
			before := gatewaytest.HeapInUse()
			for n, taken := 0, 0; taken < 8<<20 || n < mix.channels; n++ {
				payload := []byte(strings.Repeat("x", mix.sizes[n%len(mix.sizes)]))
				m := message.New(names[n%mix.channels], message.Position{Ms: 1732345678901, Seq: uint64(n)}, uint32(n), payload)
				x.Publish(channels[n%mix.channels], m)
				messages = append(messages, m)
				taken += len(payload) + 300
			}
			check := func(when string) {
				t.Helper()
				_, counted := x.Pending()
				took := gatewaytest.HeapInUse() - before - int64(cap(messages)*memory.PointerBytes)
				t.Logf("%s: %d KiB are counted, %d KiB taken", when, counted>>10, took>>10)
				if took > int64(counted)*3/2 {
					t.Errorf("%s: %d bytes are counted, %d taken", when, counted, took)
				}
			}
			check("not encoded")
			for _, m := range messages {
				m.Encoded(message.FormText)
			}
			check("encoded")
			x.Deliver(1<<30, func(uint32, *Batch) {})
			if n, size := x.Pending(); n != 0 || size != 0 {
				t.Errorf("%d messages and %d bytes are left", n, size)
			}
		})
	}
}
