package tlsrecord

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"unsafe"
)

// end is one side of a connection without a handshake, as all suites have it.
type end struct {
	State
	wide *Wide
}

// ends returns both sides of a connection.
func ends(t testing.TB, u suite, is12 bool) (server, client *end) {
	t.Helper()
	one, other := bytes.Repeat([]byte{1}, 48), bytes.Repeat([]byte{2}, 48)
	make := func(f flags, out, in []byte) *end {
		e := &end{State: State{suite: u, flags: f}}
		if is12 {
			e.flags |= flag12
			e.use12(one, one[:32], other[:32])
			return e
		}
		if e.IsWide() {
			e.wide = new(Wide)
		}
		n := u.hash()().Size()
		if err := e.use13(e.wide, out[:n], in[:n]); err != nil {
			t.Fatal(err)
		}
		return e
	}
	return make(0, one, other), make(flagClient, other, one)
}

var kinds = map[string]struct {
	suite suite
	is12  bool
}{
	"1.3 AES-128": {aes128, false}, "1.3 AES-256": {aes256, false}, "1.3 ChaCha20": {chacha20, false},
	"1.2 AES-128": {aes128, true}, "1.2 AES-256": {aes256, true}, "1.2 ChaCha20": {chacha20, true},
}

// record returns a record of the side's with any content.
func (e *end) record(t testing.TB, l *Layer, typ Type, content ...byte) []byte {
	t.Helper()
	b, err := l.seal(append(l.begin(nil, &e.State), content...), 0, &e.State, e.wide, typ)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSize(t *testing.T) {
	if got := unsafe.Sizeof(State{}); got != 112 {
		t.Errorf("a State takes %d bytes", got)
	}
}

// A record is whole however much room there is behind it.
func TestRoom(t *testing.T) {
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			var l Layer
			server, client := ends(t, kind.suite, kind.is12)
			for room := range 100 {
				const text = "hello"
				before := make([]byte, 3, 3+room)
				b, _, err := l.AppendData(before, &server.State, server.wide, [][]byte{[]byte(text)}, 0)
				if err != nil {
					t.Fatal(err)
				}
				if data, _, err := l.Receive(b[len(before):], &client.State, client.wide); err != nil || string(data) != text {
					t.Fatalf("room for %d bytes: %q, %v", room, data, err)
				}
			}
		})
	}
}

// TestNumbers has records sealed under many keys, by all that seals, and watches each pair of key
// and number: none may come twice.
func TestNumbers(t *testing.T) {
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			seen := map[string]bool{}
			l := Layer{rekey: 5}
			l.onUse = func(key []byte, seq uint64) {
				use := fmt.Sprintf("%x %d", key, seq)
				if seen[use] {
					t.Error("twice:", use)
				}
				seen[use] = true
			}
			server, client := ends(t, kind.suite, kind.is12)
			var reader Layer
			var data []byte
			for n := range 100 {
				var out []byte
				var err error
				if n%10 == 3 {
					server.flags |= flagOwes
				}
				if out, _, err = l.AppendData(out, &server.State, server.wide, [][]byte{{byte(n)}, {byte(n)}}, 0); err != nil {
					t.Fatal(err)
				}
				if n == 99 {
					if out, err = l.AppendClose(out, &server.State, server.wide); err != nil {
						t.Fatal(err)
					}
				}
				got, rest, err := reader.Receive(out, &client.State, client.wide)
				if err != nil && err != io.EOF || len(rest) > 0 {
					t.Fatal(err, rest)
				}
				data = append(data, got...)
			}
			if len(data) != 200 || data[198] != 99 {
				t.Errorf("%d bytes came", len(data))
			}
			least := 101
			if !kind.is12 {
				least += 20 // key updates
			}
			if len(seen) < least {
				t.Errorf("%d records were sealed", len(seen))
			}
		})
	}
}

// TestReceive passes every kind of input on, whole and in pieces of each size.
func TestReceive(t *testing.T) {
	update := []byte{messageKeyUpdate, 0, 0, 1, updateNotRequested}
	request := []byte{messageKeyUpdate, 0, 0, 1, updateRequested}
	many := func(n int, typ Type, content ...byte) func(*testing.T, *Layer, *end) [][]byte {
		return func(t *testing.T, l *Layer, e *end) (out [][]byte) {
			for range n {
				out = append(out, e.record(t, l, typ, content...))
				if typ == TypeHandshake {
					if err := e.updateOut(e.wide); err != nil {
						t.Fatal(err)
					}
				}
			}
			return out
		}
	}
	one := func(typ Type, content ...byte) func(*testing.T, *Layer, *end) [][]byte {
		return func(t *testing.T, l *Layer, e *end) [][]byte { return [][]byte{e.record(t, l, typ, content...)} }
	}
	raw := func(b ...byte) func(*testing.T, *Layer, *end) [][]byte {
		return func(*testing.T, *Layer, *end) [][]byte { return [][]byte{b} }
	}
	for name, c := range map[string]struct {
		bad  func(t *testing.T, l *Layer, e *end) [][]byte
		err  error
		owes bool
		only string // version
	}{
		"data":               {bad: one(TypeData, []byte("hello")...)},
		"empty records":      {bad: many(maxIdle, TypeData)},
		"too many of them":   {bad: many(maxIdle+1, TypeData), err: AlertUnexpectedMessage},
		"close_notify":       {bad: one(TypeAlert, levelWarning, 0), err: io.EOF},
		"user_canceled":      {bad: one(TypeAlert, levelWarning, 90)},
		"fatal alert":        {bad: one(TypeAlert, levelFatal, 20), err: PeerAlert(AlertBadRecordMAC)},
		"long alert":         {bad: one(TypeAlert, levelFatal, 20, 0), err: AlertUnexpectedMessage},
		"empty alert":        {bad: one(TypeAlert), err: AlertUnexpectedMessage},
		"unknown type":       {bad: one(99, 1), err: AlertUnexpectedMessage},
		"no type":            {bad: one(0), err: AlertUnexpectedMessage, only: "1.3"},
		"change_cipher_spec": {bad: one(TypeChangeCipherSpec, 1), err: AlertUnexpectedMessage},
		"clear alert":        {bad: raw(21, 3, 3, 0, 2, 2, 20), err: AlertUnexpectedMessage, only: "1.3"},
		"short":              {bad: raw(23, 3, 3, 0, 15, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), err: AlertBadRecordMAC},
		"too long":           {bad: raw(23, 3, 3, 0x60, 0), err: AlertRecordOverflow},
		"other version":      {bad: raw(23, 3, 1, 0, 40), err: AlertProtocolVersion},
		"most data":          {bad: one(TypeData, make([]byte, MaxData)...)},
		"more data":          {bad: one(TypeData, make([]byte, MaxData+1)...), err: AlertRecordOverflow},
		"update":             {bad: many(1, TypeHandshake, update...), only: "1.3"},
		"requested update":   {bad: many(3, TypeHandshake, request...), owes: true, only: "1.3"},
		"flood of updates":   {bad: many(maxIdle+1, TypeHandshake, update...), err: AlertUnexpectedMessage, only: "1.3"},
		"bad update":         {bad: one(TypeHandshake, messageKeyUpdate, 0, 0, 1, 2), err: AlertIllegalParameter, only: "1.3"},
		"long update":        {bad: one(TypeHandshake, messageKeyUpdate, 0, 0, 2, 0, 0), err: AlertDecodeError, only: "1.3"},
		"data behind update": {bad: one(TypeHandshake, append(update, 24)...), err: AlertUnexpectedMessage, only: "1.3"},
		"other message":      {bad: one(TypeHandshake, messageTicket, 0, 0, 0), err: AlertUnexpectedMessage},
		"empty message":      {bad: one(TypeHandshake), err: AlertUnexpectedMessage},
		"renegotiation":      {bad: one(TypeHandshake, messageClientHello, 0, 0, 0), err: AlertNoRenegotiation, only: "1.2"},
		"renegotiation, 1.3": {bad: one(TypeHandshake, messageClientHello, 0, 0, 0), err: AlertUnexpectedMessage, only: "1.3"},
		"interrupted message": {bad: func(t *testing.T, l *Layer, e *end) [][]byte {
			return [][]byte{e.record(t, l, TypeHandshake, update[:3]...), e.record(t, l, TypeData, 1)}
		}, err: AlertUnexpectedMessage, only: "1.3"},
		"update in pieces": {bad: func(t *testing.T, l *Layer, e *end) (out [][]byte) {
			for _, b := range request {
				out = append(out, e.record(t, l, TypeHandshake, b))
			}
			if err := e.updateOut(e.wide); err != nil {
				t.Fatal(err)
			}
			return out
		}, owes: true, only: "1.3"},
	} {
		for kindName, kind := range kinds {
			if c.only != "" && kindName[:3] != c.only {
				continue
			}
			t.Run(name+"/"+kindName, func(t *testing.T) {
				server, client := ends(t, kind.suite, kind.is12)
				var l Layer
				stream := client.record(t, &l, TypeData, []byte("before")...)
				for _, b := range c.bad(t, &l, client) {
					stream = append(stream, b...)
				}
				if c.err == nil {
					stream = append(stream, client.record(t, &l, TypeData, []byte("behind")...)...)
				}
				for _, size := range []int{len(stream), 1, 7, 1000} {
					s, w := server.State, server.wide
					if w != nil {
						copied := *w
						w = &copied
					}
					var data, in []byte
					var err error
					for rest := stream; len(rest) > 0 && err == nil; {
						n := min(size, len(rest))
						in = append(in, rest[:n]...)
						rest = rest[n:]
						var got []byte
						got, in, err = l.Receive(in, &s, w)
						data = append(data, got...)
						in = bytes.Clone(in)
					}
					if !errors.Is(err, c.err) || err != c.err {
						t.Fatalf("in pieces of %d: %v, want %v", size, err, c.err)
					}
					if s.Owes() != c.owes {
						t.Errorf("owes an update: %t", s.Owes())
					}
					if !bytes.HasPrefix(data, []byte("before")) || c.err == nil && !bytes.HasSuffix(data, []byte("behind")) {
						t.Errorf("in pieces of %d came %.50q", size, data)
					}
				}
			})
		}
	}
}

// TestUpdate has both sides take new keys into use: one requests an update, the other answers it.
func TestUpdate(t *testing.T) {
	for name, kind := range kinds {
		if kind.is12 {
			continue
		}
		t.Run(name, func(t *testing.T) {
			server, client := ends(t, kind.suite, false)
			var l Layer
			pass := func(from, to *end, request bool) {
				out, err := l.AppendUpdate(nil, &from.State, from.wide, request)
				if err == nil {
					out, _, err = l.AppendData(out, &from.State, from.wide, [][]byte{[]byte("hello")}, 0)
				}
				if err != nil {
					t.Fatal(err)
				}
				if data, rest, err := l.Receive(out, &to.State, to.wide); string(data) != "hello" || len(rest) > 0 || err != nil {
					t.Fatalf("%q, rest %q, %v", data, rest, err)
				}
				if to.Owes() != request {
					t.Errorf("owes an update: %t, want %t", to.Owes(), request)
				}
			}
			pass(server, client, true)
			pass(client, server, false)
			if client.Owes() {
				t.Error("an update doesn't answer the request")
			}
		})
	}
}

// TestFlips flips each bit of a record: none may pass.
func TestFlips(t *testing.T) {
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			server, client := ends(t, kind.suite, kind.is12)
			var l Layer
			record := client.record(t, &l, TypeData, []byte("hello")...)
			for bit := range 8 * len(record) {
				b := bytes.Clone(record)
				b[bit/8] ^= 1 << (bit % 8)
				s := server.State
				if data, rest, err := l.Receive(b, &s, server.wide); err == nil && (len(data) > 0 || len(rest) == 0) {
					t.Fatalf("bit %d: %q", bit, data)
				}
			}
		})
	}
}

func TestExhausted(t *testing.T) {
	server, client := ends(t, aes128, true)
	var l Layer
	record := client.record(t, &l, TypeData, 1)
	server.outSeq, server.inSeq = exhausted, exhausted
	if out, _, err := l.AppendData(nil, &server.State, nil, [][]byte{{1}}, 0); err != ErrExhausted || len(out) > 0 {
		t.Errorf("sealed %d bytes: %v", len(out), err)
	}
	if _, _, err := l.Receive(record, &server.State, nil); err != AlertInternalError {
		t.Error(err)
	}
}

// FuzzReceive cuts a client's stream into pieces and changes a byte of it: the opened data is a prefix
// of the client's.
func FuzzReceive(f *testing.F) {
	f.Add([]byte{10, 3, 200}, uint16(0), byte(0), false)
	f.Add([]byte{}, uint16(7), byte(1), true)
	f.Fuzz(func(t *testing.T, sizes []byte, at uint16, change byte, is12 bool) {
		server, client := ends(t, aes128, is12)
		var l Layer
		var sent, stream []byte
		for n, size := range sizes {
			content := bytes.Repeat([]byte{byte(n)}, int(size))
			sent = append(sent, content...)
			stream = append(stream, client.record(t, &l, TypeData, content...)...)
			if !is12 && size%5 == 0 {
				client.flags |= flagOwes
				var err error
				if stream, err = l.AppendOwed(stream, &client.State, nil); err != nil {
					t.Fatal(err)
				}
			}
		}
		if len(stream) > 0 {
			stream[int(at)%len(stream)] ^= change
		}
		var got, in []byte
		for len(stream) > 0 {
			n := min(1+int(at%97), len(stream))
			in = append(in, stream[:n]...)
			stream = stream[n:]
			data, rest, err := l.Receive(in, &server.State, nil)
			got = append(got, data...)
			if err != nil {
				break
			}
			in = bytes.Clone(rest)
		}
		if !bytes.HasPrefix(sent, got) {
			t.Fatalf("%d bytes came that weren't sent", len(got))
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	for name, kind := range kinds {
		b.Run(name, func(b *testing.B) {
			server, _ := ends(b, kind.suite, kind.is12)
			var l Layer
			bufs := [][]byte{make([]byte, 128)}
			var out []byte
			b.ReportAllocs()
			for b.Loop() {
				var err error
				if out, _, err = l.AppendData(out[:0], &server.State, server.wide, bufs, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkOpen opens what a server sends to a client, and what a client sends to a server.
func BenchmarkOpen(b *testing.B) {
	for name, kind := range kinds {
		for _, by := range []string{"client", "server"} {
			b.Run(name+" by the "+by, func(b *testing.B) {
				to, from := ends(b, kind.suite, kind.is12)
				if by == "client" {
					to, from = from, to
				}
				var l Layer
				record := from.record(b, &l, TypeData, make([]byte, 128)...)
				in := make([]byte, len(record))
				seq := to.inSeq
				b.ReportAllocs()
				for b.Loop() {
					copy(in, record)
					to.inSeq = seq
					if _, _, err := l.Receive(in, &to.State, to.wide); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
