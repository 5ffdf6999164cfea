package gateway_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// closeFrame returns a masked close frame.
func closeFrame(code uint16, reason string) string {
	return masked(fin|8, string(binary.BigEndian.AppendUint16(nil, code))+reason)
}

// Section 7: the close handshake. In all of it the gateway is also the one that
// ends the stream.
func TestConformanceClose(t *testing.T) {
	in := echoing(t)
	big := strings.Repeat("BAsd7&jh23", 256<<10/10)
	normal := closeFrame(1000, "")
	type closing struct {
		send []string
		said []string
		code int // 1005 is an empty frame
	}
	cases := map[string]closing{
		"7.1.1": {[]string{masked(fin|1, hello), normal}, []string{helloText}, 1000},
		"7.1.2": {[]string{normal, masked(fin|8, "")}, nil, 1000},
		"7.1.3": {[]string{normal, masked(fin|9, "")}, nil, 1000},
		"7.1.4": {[]string{normal, masked(fin|1, hello)}, nil, 1000},
		"7.1.5": {[]string{masked(1, "fragment1"), normal, masked(fin|0, "fragment2")}, nil, 1000},
		// Informational in the suite: here both messages are echoed before the close.
		"7.1.6": {[]string{masked(fin|1, big), masked(fin|1, hello), normal, masked(fin|9, "")}, []string{"text " + big, helloText}, 1000},

		"7.3.1": {[]string{masked(fin|8, "")}, nil, 1005},
		"7.3.2": {[]string{masked(fin|8, "a")}, nil, 1002},
		"7.3.3": {[]string{normal}, nil, 1000},
		"7.3.4": {[]string{closeFrame(1000, "Hello World!")}, nil, 1000},
		"7.3.5": {[]string{closeFrame(1000, strings.Repeat("*", 123))}, nil, 1000},
		"7.3.6": {[]string{closeFrame(1000, strings.Repeat("*", 124))}, nil, 1002},
		// 1002 would do as well.
		"7.5.1": {[]string{closeFrame(1000, kosme+"\xed\xa0\x80edited")}, nil, 1007},

		// Informational in the suite: codes that no close frame can mean.
		"7.13.1": {[]string{closeFrame(5000, "")}, nil, 1002},
		"7.13.2": {[]string{closeFrame(65535, "")}, nil, 1002},

		"reason cut in a character": {[]string{closeFrame(1000, kosme[:10])}, nil, 1007},
		"garbage after the close":   {[]string{normal, "\xff\xff\xff\xff\xff\xff\xff\xff"}, nil, 1000},
		"close twice":               {[]string{closeFrame(3000, ""), closeFrame(4000, "")}, nil, 3000},
		"bad close after a good":    {[]string{normal, closeFrame(999, "")}, nil, 1000},
	}
	for i, code := range []uint16{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999} {
		cases[fmt.Sprintf("7.7.%d", i+1)] = closing{[]string{closeFrame(code, "")}, nil, int(code)}
	}
	for i, code := range []uint16{0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999} {
		cases[fmt.Sprintf("7.9.%d", i+1)] = closing{[]string{closeFrame(code, "")}, nil, 1002}
	}
	// Given a meaning after the suite was written, and the one for TLS that
	// stays off the wire.
	for _, code := range []uint16{1012, 1013, 1014} {
		cases[fmt.Sprint(code)] = closing{[]string{closeFrame(code, "")}, nil, int(code)}
	}
	cases["1015"] = closing{[]string{closeFrame(1015, "")}, nil, 1002}

	for id, c := range cases {
		for _, path := range []string{"/debug/echo", "/v1/ws?format=raw"} {
			if path != "/debug/echo" && len(c.said) > 0 {
				continue
			}
			t.Run(id+path, func(t *testing.T) {
				p := in.tester(t, path)
				sent := make(chan error, 1)
				go func() { sent <- p.write(strings.Join(c.send, ""), 0) }()
				got := p.listen(t)
				if err := <-sent; err != nil {
					t.Error(err)
				}
				if !slices.Equal(got.said, c.said) || got.code != c.code || got.err != io.EOF {
					t.Errorf("heard %s, closed with %d %q, then %v; want %s, %d, EOF",
						brief(got.said), got.code, got.reason, got.err, brief(c.said), c.code)
				}
			})
		}
	}
}
