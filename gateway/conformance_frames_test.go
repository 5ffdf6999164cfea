package gateway_test

import (
	"strings"
	"testing"
)

const (
	hello     = "Hello, world!"
	helloText = "text " + hello
	binaryBit = "\x00\xff\xfe\xfd\xfc\xfb\x00\xff"
)

// Sections 1 to 4: framing, pings and pongs, reserved bits, opcodes.
func TestConformanceFraming(t *testing.T) {
	in := echoing(t)
	in.conform(t, framingCases())
}

func framingCases() map[string]conformance {
	cases := map[string]conformance{}
	// 1: whole messages of every form of length.
	for i, n := range []int{0, 125, 126, 127, 128, 65535, 65536} {
		id := string(rune('1' + i))
		cases["1.1."+id] = conformance{send: []string{masked(fin|1, strings.Repeat("*", n))}, want: []string{"text " + strings.Repeat("*", n)}}
		cases["1.2."+id] = conformance{send: []string{masked(fin|2, strings.Repeat("\xfe", n))}, want: []string{"binary " + strings.Repeat("\xfe", n)}}
	}
	cases["1.1.8"] = conformance{send: []string{masked(fin|1, strings.Repeat("*", 65536))}, chop: 997, want: []string{"text " + strings.Repeat("*", 65536)}}
	cases["1.2.8"] = conformance{send: []string{masked(fin|2, strings.Repeat("\xfe", 65536))}, chop: 997, want: []string{"binary " + strings.Repeat("\xfe", 65536)}}

	// 2: the response to a ping is a pong with its payload; to a pong, nothing.
	ping := func(payload string) conformance {
		return conformance{send: []string{masked(fin|9, payload)}, want: []string{"pong " + payload}}
	}
	cases["2.1"] = ping("")
	cases["2.2"] = ping(hello)
	cases["2.3"] = ping(binaryBit)
	cases["2.4"] = ping(strings.Repeat("\xfe", 125))
	cases["2.5"] = conformance{send: []string{masked(fin|9, strings.Repeat("\xfe", 126))}, code: 1002}
	cases["2.6"] = conformance{send: []string{masked(fin|9, strings.Repeat("\xfe", 125))}, chop: alone, want: []string{"pong " + strings.Repeat("\xfe", 125)}}
	cases["2.7"] = conformance{send: []string{masked(fin|10, "")}}
	cases["2.8"] = conformance{send: []string{masked(fin|10, "unsolicited pong payload")}}
	cases["2.9"] = conformance{send: []string{masked(fin|10, "unsolicited pong payload"), masked(fin|9, "ping payload")}, want: []string{"pong ping payload"}}
	var ten conformance
	for i := range 10 {
		payload := "payload-" + string(rune('0'+i))
		ten.send = append(ten.send, masked(fin|9, payload))
		ten.want = append(ten.want, "pong "+payload)
	}
	cases["2.10"] = ten
	ten.chop = alone
	cases["2.11"] = ten

	// 3: no extension gives a meaning to the reserved bits.
	rsv := func(bits byte) byte { return bits << 4 }
	after := func(bad string, chop int) conformance {
		return conformance{send: []string{masked(fin|1, hello), bad, masked(fin|9, "")}, chop: chop, want: []string{helloText}, lax: true, code: 1002}
	}
	cases["3.1"] = conformance{send: []string{masked(fin|rsv(1)|1, hello)}, code: 1002}
	cases["3.2"] = after(masked(fin|rsv(2)|1, hello), 0)
	cases["3.3"] = after(masked(fin|rsv(3)|1, hello), perFrame)
	cases["3.4"] = after(masked(fin|rsv(4)|1, hello), alone)
	cases["3.5"] = conformance{send: []string{masked(fin|rsv(5)|2, binaryBit)}, code: 1002}
	cases["3.6"] = conformance{send: []string{masked(fin|rsv(6)|9, hello)}, code: 1002}
	cases["3.7"] = conformance{send: []string{masked(fin|rsv(7)|8, "")}, code: 1002}

	// 4: opcodes that mean nothing yet.
	for section, first := range map[string]byte{"4.1.": 3, "4.2.": 11} {
		cases[section+"1"] = conformance{send: []string{masked(fin|first, "")}, code: 1002}
		cases[section+"2"] = conformance{send: []string{masked(fin|(first+1), "reserved opcode payload")}, code: 1002}
		cases[section+"3"] = after(masked(fin|(first+2), ""), 0)
		cases[section+"4"] = after(masked(fin|(first+3), hello), 0)
		cases[section+"5"] = after(masked(fin|(first+4), hello), alone)
	}

	// The suite always masks and never lies about a length.
	cases["unmasked text"] = conformance{send: []string{"\x81\x02hi"}, code: 1002}
	cases["unmasked ping"] = conformance{send: []string{"\x89\x00"}, code: 1002}
	cases["unmasked close"] = conformance{send: []string{"\x88\x02\x03\xe8"}, code: 1002}
	cases["unmasked after masked"] = conformance{send: []string{masked(fin|1, hello), "\x81\x00"}, want: []string{helloText}, lax: true, code: 1002}
	cases["mask of zeros"] = conformance{send: []string{"\x81\x82\x00\x00\x00\x00hi"}, want: []string{"text hi"}}
	cases["125 in 2 bytes"] = conformance{send: []string{"\x82\xfe\x00\x7d"}, code: 1002}
	cases["65535 in 8 bytes"] = conformance{send: []string{"\x82\xff\x00\x00\x00\x00\x00\x00\xff\xff"}, code: 1002}
	cases["length of 64 bits"] = conformance{send: []string{"\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00"}, code: 1002}
	cases["ping of 126 in 2 bytes"] = conformance{send: []string{"\x89\xfe\x00\x7d"}, code: 1002}
	return cases
}

// Section 5: fragments, with control frames between them.
func TestConformanceFragmentation(t *testing.T) {
	in := echoing(t)
	in.conform(t, fragmentationCases())
	for id, chop := range map[string]int{"5.19": 0, "5.20": perFrame} {
		t.Run(id, func(t *testing.T) { testPingAmidMessage(t, in, chop) })
	}
}

func fragmentationCases() map[string]conformance {
	const one, two, both = "fragment1", "fragment2", "text fragment1fragment2"
	halves := []string{masked(1, one), masked(fin|0, two)}
	pinged := []string{masked(1, one), masked(fin|9, "ping payload"), masked(fin|0, two)}
	pong := []string{"pong ping payload", both}
	stray := func(final byte) []string {
		return []string{masked(final|0, "non-continuation payload"), masked(fin|1, hello)}
	}
	twice := func(final byte) []string {
		once := []string{masked(final|0, one), masked(1, two), masked(fin|0, "fragment3")}
		return append(once, once...)
	}
	return map[string]conformance{
		"5.1":  {send: []string{masked(9, one), masked(fin|0, two)}, code: 1002},
		"5.2":  {send: []string{masked(10, one), masked(fin|0, two)}, code: 1002},
		"5.3":  {send: halves, want: []string{both}},
		"5.4":  {send: halves, chop: perFrame, want: []string{both}},
		"5.5":  {send: halves, chop: alone, want: []string{both}},
		"5.6":  {send: pinged, want: pong},
		"5.7":  {send: pinged, chop: perFrame, want: pong},
		"5.8":  {send: pinged, chop: alone, want: pong},
		"5.9":  {send: stray(fin), code: 1002},
		"5.10": {send: stray(fin), chop: perFrame, code: 1002},
		"5.11": {send: stray(fin), chop: alone, code: 1002},
		"5.12": {send: stray(0), code: 1002},
		"5.13": {send: stray(0), chop: perFrame, code: 1002},
		"5.14": {send: stray(0), chop: alone, code: 1002},
		"5.15": {send: append([]string{masked(1, one), masked(fin|0, two)}, masked(0, "fragment3"), masked(fin|1, "fragment4")),
			want: []string{both}, lax: true, code: 1002},
		"5.16": {send: twice(0), code: 1002},
		"5.17": {send: twice(fin), code: 1002},
		"5.18": {send: []string{masked(1, one), masked(fin|1, two)}, code: 1002},

		"binary":                    {send: []string{masked(2, "\xff"), masked(0, ""), masked(fin|0, "\xfe")}, want: []string{"binary \xff\xfe"}},
		"binary inside text":        {send: []string{masked(1, one), masked(fin|2, two)}, code: 1002},
		"close fragmented":          {send: []string{masked(8, "\x03\xe8")}, code: 1002},
		"continuation first of all": {send: []string{masked(fin|0, "")}, code: 1002},
	}
}

// A ping inside a message gets its pong before the message is complete.
func testPingAmidMessage(t *testing.T, in *instance, chop int) {
	p := in.tester(t, "/debug/echo")
	send := func(frames ...string) {
		t.Helper()
		if chop == 0 {
			frames = []string{strings.Join(frames, "")}
		}
		if err := p.writeSlowly(in, frames, perFrame); err != nil {
			t.Fatal(err)
		}
	}
	send(masked(1, "fragment1"), masked(0, "fragment2"), masked(fin|9, "pongme 1!"))
	var got strings.Builder
	for {
		b0, payload, err := p.frame()
		if err != nil {
			t.Fatal(err)
		}
		if b0 == fin|10 && string(payload) == "pongme 1!" {
			break
		}
		got.Write(payload) // the beginning of the echo
	}
	send(masked(0, "fragment3"), masked(0, "fragment4"), masked(fin|9, "pongme 2!"), masked(fin|0, "fragment5"), masked(fin|8, "\x03\xe8"))
	for ponged := false; ; {
		b0, payload, err := p.frame()
		if err != nil {
			t.Fatal(err)
		}
		switch b0 & 0xf {
		case 10:
			ponged = ponged || string(payload) == "pongme 2!"
		case 8:
			if got.String() != "fragment1fragment2fragment3fragment4fragment5" || !ponged {
				t.Errorf("got %q, second ping answered: %v", got.String(), ponged)
			}
			return
		default:
			got.Write(payload)
		}
	}
}
