package wsframe

import (
	"bytes"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

var lengths = map[string]int{
	"0": 0, "1": 1, "125": 125, "126": 126, "127": 127, "65535": 65535, "65536": 65536, "100001": 100001,
}

func TestAppendFrame(t *testing.T) {
	for name, n := range lengths {
		t.Run(name, func(t *testing.T) {
			payload := strings.Repeat("ab5", n)[:n]
			before := []byte("before")
			want := append(bytes.Clone(before), frame(Client, fin|1, payload)...)
			if got := AppendFrame(bytes.Clone(before), ws.OpText, []byte(payload)); !bytes.Equal(got, want) {
				t.Errorf("unmasked: got %.20x, want %.20x", got, want)
			}
			want = append(bytes.Clone(before), frame(Server, fin|2, payload)...)
			source := []byte(payload)
			if got := AppendMasked(bytes.Clone(before), ws.OpBinary, source, testMask); !bytes.Equal(got, want) {
				t.Errorf("masked: got %.20x, want %.20x", got, want)
			}
			if string(source) != payload {
				t.Error("masking changed the caller's payload")
			}
			wantHeader := frameHead(Client, 2, uint64(n), "")
			if got := AppendHeader(nil, ws.OpBinary, false, n); !bytes.Equal(got, wantHeader) {
				t.Errorf("header: got %x, want %x", got, wantHeader)
			}
		})
	}
}

func TestAppendClose(t *testing.T) {
	for name, c := range map[string]struct {
		code   ws.StatusCode
		reason string
		want   string
	}{
		"code and reason":   {1012, "drain", closeText(1012, "drain")},
		"code alone":        {1000, "", closeText(1000, "")},
		"no code":           {1005, "", ""},
		"longest reason":    {4002, strings.Repeat("x", 123), closeText(4002, strings.Repeat("x", 123))},
		"reason too long":   {4002, strings.Repeat("x", 124), closeText(4002, strings.Repeat("x", 123))},
		"cut inside a char": {4002, strings.Repeat("x", 121) + "世", closeText(4002, strings.Repeat("x", 121))},
	} {
		t.Run(name, func(t *testing.T) {
			want := frame(Client, fin|8, c.want)
			if got := AppendClose(nil, c.code, c.reason); !bytes.Equal(got, want) {
				t.Errorf("got %x, want %x", got, want)
			}
		})
	}
}
