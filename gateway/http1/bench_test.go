package http1

import (
	"strings"
	"testing"
)

// TestNoAllocations covers what happens for every connection: a head, its
// query and headers, a body, a response, and refusals, which a flood would
// multiply.
func TestNoAllocations(t *testing.T) {
	var (
		r       Request
		scratch = make([]byte, 0, 1024)
		out     = make([]byte, 0, 4096)
		raw     = []byte("channels=a%2Cb&wait=25&cursor=x")
		cors    = []byte("Vary: Origin\r\n")
		chunks  = []byte("5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\n")
	)
	parse := func(in string) func() {
		b := []byte(in)
		return func() { r.Parse(b, testHead) }
	}
	cases := map[string]func(){
		"handshake": parse(browserHandshake),
		"poll":      parse(pollRequest),
		"address":   parse(lines("POST http://[::1]/ HTTP/1.1", "Host: [::1]", "Transfer-Encoding: chunked")),
		"header": func() {
			if r.Header("Sec-WebSocket-Protocol") != nil {
				t.Error("found a header that is not there")
			}
		},
		"query": func() {
			req := Request{RawQuery: raw}
			q := req.Query(scratch)
			for {
				if _, _, ok := q.Next(); !ok {
					break
				}
			}
			if v, _ := q.Get("channels"); string(v) != "a,b" {
				t.Errorf("channels = %q", v)
			}
			if n, err := q.Int("wait", 0, 0, 55); n != 25 || err != nil {
				t.Errorf("wait = %d, %v", n, err)
			}
		},
		"body": func() {
			req := Request{Chunked: true, ContentLength: -1}
			b, _ := req.Body(100)
			for rest := chunks; !b.Done(); {
				_, n, _, err := b.Next(rest)
				if err != nil {
					t.Fatal(err)
				}
				rest = rest[n:]
			}
		},
		"response": func() { out = AppendResponse(out[:0], 200, chunks, Options{Lines: cors, Close: true}) },
		"error":    func() { out = AppendError(out[:0], 403, "forbidden", "this token does not allow it", Options{}) },
	}
	for name, c := range refused {
		cases["refuse "+name] = parse(c.bytes)
	}
	r.Parse([]byte(browserHandshake), testHead)
	for name, run := range cases {
		// netip describes a malformed address in an error of its own.
		most := 0.0
		if name == "refuse host v4 in brackets" || name == "refuse host with zone" {
			most = 1
		}
		if n := testing.AllocsPerRun(100, run); n > most {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func benchmarkParse(b *testing.B, in string) {
	buf := []byte(in)
	var r Request
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		if n, err := r.Parse(buf, testHead); n != len(buf) || err != nil {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkHandshake(b *testing.B) { benchmarkParse(b, browserHandshake) }
func BenchmarkPoll(b *testing.B)      { benchmarkParse(b, pollRequest) }

// BenchmarkByteByByte reads incomplete heads of nearly 8 KiB: what one more
// byte costs when a client sends them byte by byte.
func BenchmarkByteByByte(b *testing.B) {
	const size = testHead - 64
	line := "\r\nA: " + strings.Repeat("x", size/maxFields-len("\r\nA: "))
	for name, in := range map[string]string{
		"lines":   "GET / HTTP/1.1" + strings.Repeat(line, maxFields-1) + "\r\nA: x",
		"escapes": "GET /" + strings.Repeat("%41", size/3) + " HTTP/1.1\r\nA: x",
		"lists":   "GET / HTTP/1.1\r\nConnection: " + strings.Repeat("a,", maxElements-1) + strings.Repeat("a", size-2*maxElements) + "\r\nA: x",
	} {
		b.Run(name, func(b *testing.B) {
			buf := []byte(in)
			var r Request
			b.ReportAllocs()
			for b.Loop() {
				if n, err := r.Parse(buf, testHead); n != 0 || err != nil {
					b.Fatal(n, err)
				}
			}
		})
	}
}

func BenchmarkQuery(b *testing.B) {
	r := Request{RawQuery: []byte("channels=news%2Cuser.4711&wait=25&cursor=1732345678901-0")}
	scratch := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		q := r.Query(scratch)
		for {
			if _, _, ok := q.Next(); !ok {
				break
			}
		}
	}
}

func BenchmarkChunked(b *testing.B) {
	r := Request{Chunked: true, ContentLength: -1}
	in := []byte("40\r\n0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\r\n0\r\n\r\n")
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		body, _ := r.Body(1000)
		for rest := in; !body.Done(); {
			_, n, _, err := body.Next(rest)
			if err != nil {
				b.Fatal(err)
			}
			rest = rest[n:]
		}
	}
}

func BenchmarkResponse(b *testing.B) {
	out := make([]byte, 0, 1024)
	body := []byte(`{"cursor":"c1","messages":[],"gaps":[],"more":false}`)
	b.ReportAllocs()
	for b.Loop() {
		out = AppendResponse(out[:0], 200, body, Options{})
	}
}
