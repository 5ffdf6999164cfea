package main

import (
	"bytes"
	"fmt"
)

// The two channels of the course.
const (
	everyone = "everyone"
	few      = "few"
)

// numberMark stands before a message's number in the text of its frame.
var numberMark = []byte(`"data":{"number":`)

// payload returns message k, 128 bytes.
func payload(k int) []byte {
	p := fmt.Appendf(nil, `{"number":%d,"text":"`, k)
	return append(append(p, bytes.Repeat([]byte("x"), 128-len(p)-2)...), `"}`...)
}
