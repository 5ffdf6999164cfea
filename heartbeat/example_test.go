package heartbeat_test

import (
	"fmt"

	"github.com/pushgate/pushgate/heartbeat"
)

// Two connections are pinged every 30 ticks, and one that was read from in
// between later than that.
func Example() {
	const interval = 30
	wheel := heartbeat.New(64)
	wheel.Set(1, 10)
	wheel.Set(2, 10)
	for tick := uint32(1); tick <= 70; tick++ { // a ticker's work
		if tick == 35 {
			wheel.Set(2, tick+interval) // it has spoken
		}
		wheel.Advance(tick, 1000, func(id uint32) {
			fmt.Println("tick", tick, "ping", id)
			wheel.Set(id, tick+interval)
		})
	}
	wheel.Cancel(1) // it has left
	fmt.Println(wheel.Len(), "left")
	// Unordered output:
	// tick 10 ping 1
	// tick 10 ping 2
	// tick 40 ping 1
	// tick 65 ping 2
	// tick 70 ping 1
	// 1 left
}
