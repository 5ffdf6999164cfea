package gateway_test

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// Sections 9.1 to 9.6 and 10: large messages, whole, in fragments, and in many
// small packets. With -short none is over 1 MiB.
func TestConformanceSizes(t *testing.T) {
	t.Parallel()
	// With traffic both ways clients delay their acknowledgements, and a send
	// buffer smaller than a segment, which is 64 KiB on the loopback, waits for
	// each: 5 s for 16 MiB in place of 0.1 s.
	in := start(t, func(c *gateway.Config) { c.Debug.Echo, c.Socket.SendBuffer = true, 1<<20; withDefaultRates(c) })
	const most = 16 << 20
	limit := most
	if testing.Short() {
		limit = 1 << 20
	}
	text, binary := strings.Repeat("BAsd7&jh23", most/10+1)[:most], strings.Repeat("\x00\xfe\x23\xfa\xf0", most/5+1)[:most]
	cases := map[string]conformance{}
	add := func(section, i int, op byte, payload string, size, chop int) {
		want := "text " + payload
		if op == 2 {
			want = "binary " + payload
		}
		if len(payload) <= limit {
			cases[fmt.Sprintf("9.%d.%d", section, i+1)] = conformance{send: fragments(op, payload, size), chop: chop, want: []string{want}}
		}
	}
	for i, n := range []int{64 << 10, 256 << 10, 1 << 20, 4 << 20, 8 << 20, most} {
		add(1, i, 1, text[:n], n, 0)
		add(2, i, 2, binary[:n], n, 0)
	}
	whole := min(4<<20, limit)
	for i, size := range []int{64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20} {
		add(3, i, 1, text[:whole], size, 0)
		add(4, i, 2, binary[:whole], size, 0)
	}
	for i, chop := range []int{64, 128, 256, 512, 1024, 2048} {
		add(5, i, 1, text[:1<<20], most, chop)
		add(6, i, 2, binary[:1<<20], most, chop)
	}
	stars := strings.Repeat("*", 65536)
	cases["10.1.1"] = conformance{send: fragments(1, stars, 1300), want: []string{"text " + stars}}
	in.conform(t, cases)
}

// Sections 9.7 and 9.8: one message after the other, each after the echo of the previous one. The
// suite sends 1000.
func TestConformanceRoundTrips(t *testing.T) {
	in := echoing(t)
	const count = 200
	for i, n := range []int{0, 16, 64, 256, 1024, 4096} {
		for section, op := range map[int]byte{7: 1, 8: 2} {
			t.Run(fmt.Sprintf("9.%d.%d", section, i+1), func(t *testing.T) {
				payload := strings.Repeat("*", n)
				want := map[byte]string{1: "text ", 2: "binary "}[op] + payload
				p := in.tester(t, "/debug/echo")
				for range count {
					if err := p.write(masked(fin|op, payload), 0); err != nil {
						t.Fatal(err)
					}
					p.hear(t, want)
				}
			})
		}
	}
}

// A message over the limit is refused with 1009 as soon as its size is known;
// one of just the limit is taken.
func TestConformanceLimits(t *testing.T) {
	const limit = 1000
	in := start(t, func(c *gateway.Config) { c.Debug.Echo, c.Limits.MessageBytes = true, limit; withDefaultRates(c) })
	for name, tc := range map[string]struct {
		path  string
		limit int
	}{"ws": {"/v1/ws?format=raw", limit}, "echo": {"/debug/echo", gateway.MaxEcho}} {
		for id, c := range map[string]struct {
			send []string
			code int
		}{
			"header":        {[]string{header(fin|1, tc.limit+1)}, 1009},
			"last fragment": {[]string{masked(1, strings.Repeat("a", 100)), masked(0, ""), header(0, tc.limit-99)}, 1009},
			"2^62":          {[]string{"\x81\xff\x40\x00\x00\x00\x00\x00\x00\x00"}, 1009},
			"just enough":   {[]string{header(fin|1, tc.limit)}, 0},
			"in fragments":  {[]string{masked(1, strings.Repeat("a", 100)), header(fin|0, tc.limit-100)}, 0},
		} {
			t.Run(name+"/"+id, func(t *testing.T) {
				p := in.tester(t, tc.path)
				if err := p.writeSlowly(in, c.send, perFrame); err != nil {
					t.Fatal(err)
				}
				if c.code == 0 {
					// It waits for the rest.
					if n := in.totals().clients; n["websocket"]+n["echo"] != 1 {
						t.Errorf("%v clients", n)
					}
					p.Close()
				} else if got := p.listen(t); got.code != c.code || got.err != io.EOF {
					t.Errorf("closed with %d, then %v; want %d", got.code, got.err, c.code)
				}
				eventually(t, "it's gone", func() bool { p.Close(); return in.totals().connections == 0 })
			})
		}
	}
}

// The gateway doesn't read from a client that doesn't read its echoes, and doesn't treat it as
// slow; once it reads, it gets everything.
func TestEchoWaitsForItsClient(t *testing.T) {
	in := start(t, func(c *gateway.Config) { c.Debug.Echo, c.Limits.QueueBytes = true, 1<<10 })
	for name, send := range map[string][]string{
		"one message":   fragments(2, strings.Repeat("0123456789abcdef", gateway.MaxEcho/16), gateway.MaxEcho),
		"tiny messages": slices.Repeat([]string{masked(fin|2, "0123456789abcdef")}, 200_000),
		"pings":         slices.Repeat([]string{masked(fin|9, strings.Repeat("x", 125))}, 60_000),
	} {
		t.Run(name, func(t *testing.T) {
			c := in.dialSmall()
			io.WriteString(c, strings.Replace(upgradeHead, "/v1/ws", "/debug/echo", 1))
			sent := make(chan error, 1)
			go func() {
				_, err := io.WriteString(c, strings.Join(send, "")+closeFrame(1000, ""))
				sent <- err
			}()
			most, before, calm := int64(0), uint64(0), 0
			eventually(t, "no more is read from it", func() bool {
				st := in.totals()
				most = max(most, st.queueBytes)
				if calm++; st.bytesIn != before || st.queueBytes == 0 {
					before, calm = st.bytesIn, 0
				}
				return calm > 20
			})
			if len(sent) > 0 {
				t.Fatal("all of it was taken")
			}
			// The echo of one read.
			if most > gateway.ReadBuffer+1024 {
				t.Errorf("%d bytes were queued", most)
			}
			p := newTester(t, c)
			got := p.listen(t)
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, s := range got.said {
				_, payload, _ := strings.Cut(s, " ")
				n += len(payload)
			}
			want := len(send) * len("0123456789abcdef")
			switch name {
			case "one message":
				want = gateway.MaxEcho
			case "pings":
				want = len(send) * 125
			}
			if len(got.said) != len(send) || n != want || got.code != 1000 {
				t.Errorf("%d messages of %d bytes came back, want %d of %d; closed with %d", len(got.said), n, len(send), want, got.code)
			}
			c.Close()
			eventually(t, "nothing is kept", func() bool {
				st := in.totals()
				return st.connections == 0 && st.queueBytes == 0 && st.queues == 0
			})
		})
	}
	if n := in.totals().closes[reasons.CloseSlow]; n != 0 {
		t.Errorf("%d were closed as slow", n)
	}
}
