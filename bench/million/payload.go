package main

import (
	"bytes"
	"fmt"
)

// The two channels of the course; everyone has a channel of his own in place of
// the first with -personal.
const (
	everyone = "everyone"
	few      = "few"
)

// personal is the channel of one client.
func personal(client int) string { return fmt.Sprintf("user.%d", client) }

// numberMark stands before a message's number in the text of its frame.
var numberMark = []byte(`"data":{"number":`)

// payload returns message k, 128 bytes.
func payload(k int) []byte {
	p := fmt.Appendf(nil, `{"number":%d,"text":"`, k)
	return append(append(p, bytes.Repeat([]byte("x"), 128-len(p)-2)...), `"}`...)
}
