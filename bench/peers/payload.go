package main

import (
	"bytes"
	"fmt"
)

// numberMark stands before a message's number.
var numberMark = []byte(`{"n":`)

// payload returns message k, in so many bytes.
func payload(k, size int) []byte {
	p := fmt.Appendf(nil, `%s%d,"text":"`, numberMark, k)
	return append(append(p, bytes.Repeat([]byte("x"), size-len(p)-2)...), `"}`...)
}

// number finds the number of a message, whatever the server put around it.
func number(text []byte) (k int, ok bool) {
	at := bytes.Index(text, numberMark)
	if at < 0 {
		return 0, false
	}
	for _, digit := range text[at+len(numberMark):] {
		if digit < '0' || digit > '9' {
			break
		}
		k, ok = 10*k+int(digit-'0'), true
	}
	return k, ok
}
