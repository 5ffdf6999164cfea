package message_test

import (
	"fmt"

	"github.com/pushgate/pushgate/fanout/message"
)

// A message is encoded once in each form that clients ask for.
func ExampleMessage_Encoded() {
	id, _ := message.ParsePosition("1732345678901-0")
	m := message.New("news", id, 1, []byte(`{"text":"hello"}`))
	fmt.Printf("%s\n", m.Encoded(message.FormJSON))
	fmt.Printf("%s", m.Encoded(message.FormEvent))
	// Output:
	// {"type":"message","channel":"news","id":"1732345678901-0","data":{"text":"hello"}}
	// id: 1732345678901-0
	// event: message
	// data: {"type":"message","channel":"news","id":"1732345678901-0","data":{"text":"hello"}}
}

// A cursor holds the positions of several channels.
func ExampleCursor() {
	var c message.Cursor
	c.Set("news", message.Position{Ms: 1732345678901})
	c.Set("chat", message.Position{Node: "node-1", Seq: 1732345678901234})

	read, err := message.ParseCursor(c.String())
	if err != nil {
		panic(err)
	}
	durable, _ := read.Durable("news")
	plain, _ := read.Plain("chat")
	fmt.Println(read.Len(), durable, plain)
	// Output: 2 1732345678901-0 ~node-1-1732345678901234
}
