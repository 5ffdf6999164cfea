package longpoll

import (
	"testing"

	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/internal/position"
)

// A poll's plain position survives a next poll without messages of that channel.
func TestMarkOfPlainMessagesIsKept(t *testing.T) {
	var c message.Cursor
	c.Set("b", message.Position{Node: "node1"})
	c.Set("b", message.Position{Ms: 5, Seq: 1})
	for _, node := range []string{"node1", "node2"} {
		r, err := position.Parse(c.String())
		if err != nil {
			t.Fatal(err)
		}
		if _, elsewhere := r.Positions("b", node); elsewhere != (node == "node2") {
			t.Errorf("%s: elsewhere is %v", node, elsewhere)
		}
		var b bundle
		b.keep("b", node, &r, false)
		if told := len(b.gaps) > 0; told != (node == "node2") {
			t.Errorf("%s: gaps %v", node, b.gaps)
		}
		c = b.cursor
	}
}
