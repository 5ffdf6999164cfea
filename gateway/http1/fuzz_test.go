package http1

import (
	"bytes"
	"net/url"
	"testing"
)

func FuzzRequest(f *testing.F) {
	for _, in := range accepted {
		f.Add([]byte(in))
	}
	for _, in := range refused {
		if len(in.bytes) < 1024 {
			f.Add([]byte(in.bytes))
		}
	}
	for _, c := range chunkedBodies {
		if len(c.in) < 256 {
			f.Add([]byte(lines("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked") + c.in))
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 4096 {
			return
		}
		before := bytes.Clone(in)
		compare(t, in)
		portions(t, in)
		if !bytes.Equal(in, before) {
			t.Fatal("the input was changed")
		}
	})
}

// FuzzBody checks that a body means the same in whatever portions it comes.
func FuzzBody(f *testing.F) {
	for _, c := range chunkedBodies {
		f.Add([]byte(c.in), int64(-1))
	}
	f.Add([]byte("hello"), int64(3))
	f.Fuzz(func(t *testing.T, in []byte, length int64) {
		if len(in) > 2048 {
			return
		}
		r := Request{ContentLength: length, Chunked: length < 0}
		start, err := r.Body(1000)
		if err != nil {
			return
		}
		whole := start
		data, n, done, err := drain(&whole, in, len(in)+1)
		if n > len(in) || int64(len(data)) > 1000 || done != whole.Done() {
			t.Fatalf("%d bytes of data from %d of %d, done %v", len(data), n, len(in), done)
		}
		check := func(how string, at int, b Body, gotData []byte, gotN int, gotDone bool, gotErr error) {
			if !bytes.Equal(gotData, data) || gotN != n || gotDone != done || gotErr != err || b != whole {
				t.Fatalf("%s %d: %q, %d, %v, %v; whole: %q, %d, %v, %v", how, at, gotData, gotN, gotDone, gotErr, data, n, done, err)
			}
		}
		for portion := 1; portion <= 5; portion++ {
			b := start
			d, n, done, err := drain(&b, in, portion)
			check("portions of", portion, b, d, n, done, err)
		}
		for at := range in {
			b := start
			d, n, done, err := drain(&b, in[:at], at+1)
			if !done && err == nil {
				var more []byte
				var m int
				more, m, done, err = drain(&b, in[at:], len(in))
				d, n = append(d, more...), n+m
			}
			check("split at", at, b, d, n, done, err)
		}
	})
}

// FuzzQuery compares with net/url, which goes on after a malformed pair but
// reports it all the same. The only other difference is the bound on pairs.
func FuzzQuery(f *testing.F) {
	for _, in := range []string{
		"", "a=1&b=2", "a+b=%41%zz", "&&=&a", "a;b=1", "%3b=%3B&a=b=c", "channels=a,b&cursor=1-0&token=e30.e30.c2ln", "%", "a=%f", "+=+",
	} {
		f.Add([]byte(in), "a", uint8(8))
	}
	f.Fuzz(func(t *testing.T, in []byte, name string, size uint8) {
		before := string(in)
		r := Request{RawQuery: in}
		q := r.Query(make([]byte, 0, size))
		got := url.Values{}
		var names, values [][]byte
		for {
			name, value, ok := q.Next()
			if !ok {
				break
			}
			got.Add(string(name), string(value))
			names, values = append(names, name), append(values, value)
		}
		if string(in) != before {
			t.Fatal("the query was changed")
		}
		if q.Err() == errQueryCount {
			return
		}
		want, err := url.ParseQuery(before)
		if (err == nil) != (q.Err() == nil) {
			t.Fatalf("%v, net/url %v", q.Err(), err)
		}
		if err != nil {
			return
		}
		if got.Encode() != want.Encode() {
			t.Fatalf("%v, net/url %v", got, want)
		}
		value, ok := q.Get(name)
		if ok != want.Has(name) || string(value) != want.Get(name) {
			t.Fatalf("Get(%q) = %q, %v; net/url %q", name, value, ok, want[name])
		}
		// What was handed out before Get must still stand.
		again := url.Values{}
		for i := range names {
			again.Add(string(names[i]), string(values[i]))
		}
		if again.Encode() != want.Encode() {
			t.Fatalf("after Get: %v, net/url %v", again, want)
		}
	})
}
