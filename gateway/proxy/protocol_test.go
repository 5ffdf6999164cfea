package proxy

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
)

// v2 returns a header with the given bytes after the signature.
func v2(command, family byte, body string) string {
	size := binary.BigEndian.AppendUint16(nil, uint16(len(body)))
	return string(signatureV2) + string([]byte{command, family}) + string(size) + body
}

const (
	body4 = "\x01\x02\x03\x04" + "\x0a\x00\x00\x01" + "\x12\x34" + "\x01\xbb"
	body6 = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02" + "\x12\x34" + "\x01\xbb"
)

func TestParse(t *testing.T) {
	for name, test := range map[string]struct {
		accept Protocol
		in     string
		want   string // the source; "-" for none
		err    error
	}{
		"v1, IPv4":                {V1, "PROXY TCP4 1.2.3.4 10.0.0.1 4660 443\r\n", "1.2.3.4:4660", nil},
		"v1, IPv6":                {Any, "PROXY TCP6 2001:db8::1 2001:db8::2 4660 443\r\n", "[2001:db8::1]:4660", nil},
		"v1, longest":             {V1, "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", nil},
		"v1, unknown":             {V1, "PROXY UNKNOWN\r\n", "-", nil},
		"v1, unknown and more":    {V1, "PROXY UNKNOWN ffff::1 what ever 1 2\r\n", "-", nil},
		"v1, too long":            {V1, "PROXY UNKNOWN " + strings.Repeat("x", 92) + "\r\n", "", errV1},
		"v1, bare line feed":      {V1, "PROXY TCP4 1.2.3.4 10.0.0.1 4660 443\n", "", errV1},
		"v1, other family":        {V1, "PROXY TCP4 2001:db8::1 2001:db8::2 4660 443\r\n", "", errV1},
		"v1, unknown family":      {V1, "PROXY UDP4 1.2.3.4 10.0.0.1 4660 443\r\n", "", errV1},
		"v1, port too large":      {V1, "PROXY TCP4 1.2.3.4 10.0.0.1 65536 443\r\n", "", errV1},
		"v1, port with zero":      {V1, "PROXY TCP4 1.2.3.4 10.0.0.1 04660 443\r\n", "", errV1},
		"v1, bad destination":     {V1, "PROXY TCP4 1.2.3.4 10.0.0 4660 443\r\n", "", errV1},
		"v1, two spaces":          {V1, "PROXY TCP4  1.2.3.4 10.0.0.1 4660 443\r\n", "", errV1},
		"v1, zone":                {V1, "PROXY TCP6 fe80::1%eth0 fe80::2 4660 443\r\n", "", errV1},
		"v1 where v2 is accepted": {V2, "PROXY TCP4 1.2.3.4 10.0.0.1 4660 443\r\n", "", errNone},
		"v2, IPv4":                {V2, v2(0x21, 0x11, body4), "1.2.3.4:4660", nil},
		"v2, IPv6":                {Any, v2(0x21, 0x21, body6), "[2001:db8::1]:4660", nil},
		"v2, mapped":              {V2, v2(0x21, 0x21, "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x01\x02\x03\x04"+body6[16:]), "1.2.3.4:4660", nil},
		"v2, extensions":          {V2, v2(0x21, 0x11, body4+"\x03\x00\x04\x00\x00\x00\x00"), "1.2.3.4:4660", nil},
		"v2, local":               {V2, v2(0x20, 0x00, ""), "-", nil},
		"v2, local with address":  {V2, v2(0x20, 0x11, body4), "-", nil},
		"v2, unspecified":         {V2, v2(0x21, 0x00, "whatever"), "-", nil},
		"v2, unix":                {V2, v2(0x21, 0x31, strings.Repeat("\x00", 216)), "-", nil},
		"v2, short address":       {V2, v2(0x21, 0x11, body4[:11]), "", errV2},
		"v2, short unix":          {V2, v2(0x21, 0x31, strings.Repeat("\x00", 215)), "", errV2},
		"v2, datagrams":           {V2, v2(0x21, 0x12, body4), "", errV2},
		"v2, version 1":           {V2, v2(0x11, 0x11, body4), "", errV2},
		"v2, unknown command":     {V2, v2(0x22, 0x11, body4), "", errV2},
		"v2, too long":            {V2, v2(0x21, 0x11, body4+strings.Repeat("x", maxV2)), "", errTooLong},
		"v2 where v1 is accepted": {V1, v2(0x21, 0x11, body4), "", errNone},
		"a request":               {Any, "GET / HTTP/1.1\r\n", "", errNone},
		"off":                     {Off, "PROXY TCP4 1.2.3.4 10.0.0.1 4660 443\r\n", "", errNone},
	} {
		t.Run(name, func(t *testing.T) {
			in := []byte(test.in + "GET /")
			source, n, err := Parse(in, test.accept)
			if err != test.err {
				t.Fatalf("got %v, want %v", err, test.err)
			}
			if err != nil {
				return
			}
			if n != len(test.in) {
				t.Errorf("length %d, want %d", n, len(test.in))
			}
			if test.want == "-" && source.IsValid() || test.want != "-" && source.String() != test.want {
				t.Errorf("source %v, want %s", source, test.want)
			}
			// Cut off anywhere it's neither whole nor wrong.
			for i := range len(test.in) {
				if _, n, err := Parse(in[:i], test.accept); n != 0 || err != nil {
					t.Fatalf("the first %d bytes: %d, %v", i, n, err)
				}
			}
		})
	}
}

// FuzzParse holds the verdict to be the same in whatever pieces a header comes,
// and a header to be taken only whole.
func FuzzParse(f *testing.F) {
	f.Add([]byte("PROXY TCP4 1.2.3.4 10.0.0.1 4660 443\r\n"))
	f.Add([]byte("PROXY UNKNOWN\r\n"))
	f.Add([]byte(v2(0x21, 0x11, body4)))
	f.Add([]byte(v2(0x21, 0x21, body6)))
	f.Add([]byte(v2(0x20, 0x00, "")))
	f.Fuzz(func(t *testing.T, p []byte) {
		source, n, err := Parse(p, Any)
		if n < 0 || n > len(p) || n > maxV2 || err != nil && (n != 0 || source.IsValid()) {
			t.Fatalf("%v, %d, %v of %d bytes", source, n, err, len(p))
		}
		if n > 0 {
			if again, m, err := Parse(p[:n], Any); again != source || m != n || err != nil {
				t.Fatalf("alone: %v, %d, %v; with more: %v, %d", again, m, err, source, n)
			}
			if source.IsValid() && (source.Addr().Is4In6() || source.Addr().Zone() != "") {
				t.Fatalf("source %v is not in its plain form", source)
			}
		}
		for i := range min(len(p), 300) {
			early, m, earlyErr := Parse(p[:i], Any)
			if m > 0 && (m != n || early != source) || earlyErr != nil && err == nil {
				t.Fatalf("after %d bytes: %v, %d, %v; after all: %v, %d, %v", i, early, m, earlyErr, source, n, err)
			}
		}
		if n == 0 && err == nil && len(p) >= maxV2 {
			t.Fatalf("%d bytes and no verdict", len(p))
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for name, in := range map[string]string{"v1": "PROXY TCP4 1.2.3.4 10.0.0.1 4660 443\r\n", "v2": v2(0x21, 0x11, body4)} {
		b.Run(name, func(b *testing.B) {
			p := []byte(in)
			b.ReportAllocs()
			for b.Loop() {
				if source, _, err := Parse(p, Any); err != nil || source.Addr() != netip.AddrFrom4([4]byte{1, 2, 3, 4}) {
					b.Fatal(source, err)
				}
			}
		})
	}
}
