package wsframe

import (
	"reflect"
	"strings"
	"testing"
	"unsafe"
)

// TestReaderSize keeps the Reader small and free of pointers: each connection
// inside a frame or a fragmented message holds one.
func TestReaderSize(t *testing.T) {
	if size := unsafe.Sizeof(Reader{}); size > 200 {
		t.Errorf("a Reader takes %d bytes, want at most 200", size)
	}
	checkNoPointers(t, reflect.TypeFor[Reader]())
}

func checkNoPointers(t *testing.T, typ reflect.Type) {
	t.Helper()
	switch typ.Kind() {
	case reflect.Struct:
		for i := range typ.NumField() {
			checkNoPointers(t, typ.Field(i).Type)
		}
	case reflect.Array:
		checkNoPointers(t, typ.Elem())
	case reflect.Bool, reflect.Int64, reflect.Uint8:
	default:
		t.Errorf("a Reader holds a %v", typ)
	}
}

// streams are the input of the benchmarks: inputs that can be read again and
// again, since unmasking in place happens to a fresh copy.
func streams(side Side) map[string][]byte {
	return map[string][]byte{
		"ping": frame(side, fin|9, ""),
		"128B": frame(side, fin|1, strings.Repeat("a", 128)),
		"4KB":  frame(side, fin|1, strings.Repeat("ä", 2048)),
		"fragments": join(frame(side, 1, "Hell\xc3"), frame(side, fin|9, "still there?"),
			frame(side, fin|0, "\xb6"), frame(side, fin|10, "yes")),
	}
}

func readAll(tb testing.TB, r *Reader, in []byte, size int) {
	for from := 0; from < len(in); {
		_, n, err := r.Next(in[from:min(from+size, len(in))])
		if err != nil {
			tb.Fatal(err)
		}
		from += n
	}
}

func TestReadAllocatesNothing(t *testing.T) {
	bothSides(t, func(t *testing.T, side Side) {
		for name, stream := range streams(side) {
			for splitName, size := range map[string]int{"at once": len(stream), "by 5": 5} {
				r := NewReader(side, 1<<16)
				buf := make([]byte, len(stream))
				if n := testing.AllocsPerRun(100, func() {
					copy(buf, stream)
					readAll(t, &r, buf, size)
				}); n != 0 {
					t.Errorf("%s %s: %v allocations", name, splitName, n)
				}
			}
		}
		reason := frame(side, fin|8, closeText(1001, strings.Repeat("going ", 20)))
		buf := make([]byte, len(reason))
		if n := testing.AllocsPerRun(100, func() {
			r := NewReader(side, 1<<16)
			copy(buf, reason)
			readAll(t, &r, buf, len(buf))
		}); n != 0 {
			t.Errorf("close: %v allocations", n)
		}
	})
}

func TestAppendAllocatesNothing(t *testing.T) {
	dst := make([]byte, 0, 1024)
	payload := []byte(strings.Repeat("x", 200))
	if n := testing.AllocsPerRun(100, func() {
		dst = AppendFrame(dst[:0], 1, payload)
		dst = AppendMasked(dst, 1, payload, testMask)
		dst = AppendClose(dst, 1012, "drain")
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkReader(b *testing.B) {
	for sideName, side := range map[string]Side{"server": Server, "client": Client} {
		for name, stream := range streams(side) {
			b.Run(sideName+"/"+name, func(b *testing.B) {
				r := NewReader(side, 1<<16)
				buf := make([]byte, len(stream))
				b.SetBytes(int64(len(stream)))
				b.ReportAllocs()
				for b.Loop() {
					copy(buf, stream)
					readAll(b, &r, buf, len(buf))
				}
			})
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	payload := []byte(strings.Repeat("x", 128))
	dst := make([]byte, 0, 256)
	b.Run("frame", func(b *testing.B) {
		for b.Loop() {
			dst = AppendFrame(dst[:0], 1, payload)
		}
	})
	b.Run("masked", func(b *testing.B) {
		for b.Loop() {
			dst = AppendMasked(dst[:0], 1, payload, testMask)
		}
	})
}
