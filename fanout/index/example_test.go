package index_test

import (
	"fmt"

	"github.com/pushgate/pushgate/fanout/index"
	"github.com/pushgate/pushgate/fanout/message"
)

// A shard's loop delivers the messages of its channels in slices.
func Example() {
	x := index.New()
	news := x.Open([]byte("news"))
	var first, second index.List // each connection keeps its own
	x.Subscribe(&first, 1, news)
	x.Subscribe(&second, 2, news)

	x.Publish(news, message.New("news", message.Position{Node: "node-1", Seq: 1}, 1, []byte("hello")))
	for more := true; more; {
		_, more = x.Deliver(1, func(conn uint32, b *index.Batch) {
			fmt.Println("connection", conn, "gets", string(b.Messages()[0].Payload))
		})
	}
	// Output:
	// connection 1 gets hello
	// connection 2 gets hello
}
