package wsframe

import (
	"encoding/binary"
	"testing"

	"github.com/gobwas/ws"
)

// testMask is the mask of the frames in tests unless they say
// otherwise: four different bytes, so that a wrong phase shows.
var testMask = [4]byte{0x37, 0xfa, 0x21, 0x3d}

const fin = 0x80

// frame builds a frame byte by byte as the side under test must receive it, by
// other means than the package's own writers.
func frame(to Side, b0 byte, payload string) []byte {
	return frameHead(to, b0, uint64(len(payload)), payload)
}

// frameHead builds a frame that announces n bytes whatever it carries.
func frameHead(to Side, b0 byte, n uint64, payload string) []byte {
	size := 0
	switch {
	case n > 0xffff:
		size = 8
	case n > 125:
		size = 2
	}
	return frameForm(to, b0, size, n, payload)
}

// frameForm builds a frame whose length takes 0, 2 or 8 extra bytes.
func frameForm(to Side, b0 byte, size int, n uint64, payload string) []byte {
	out := []byte{b0}
	bit := byte(0)
	if to == Server {
		bit = 0x80
	}
	switch size {
	case 0:
		out = append(out, bit|byte(n))
	case 2:
		out = binary.BigEndian.AppendUint16(append(out, bit|126), uint16(n))
	case 8:
		out = binary.BigEndian.AppendUint64(append(out, bit|127), n)
	}
	if to == Client {
		return append(out, payload...)
	}
	out = append(out, testMask[:]...)
	for i := range len(payload) {
		out = append(out, payload[i]^testMask[i%4])
	}
	return out
}

// closeText builds a close body.
func closeText(code ws.StatusCode, reason string) string {
	return string(binary.BigEndian.AppendUint16(nil, uint16(code))) + reason
}

// join concatenates frames.
func join(parts ...[]byte) []byte {
	var out []byte
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// bothSides runs a test as server and as client.
func bothSides(t *testing.T, run func(t *testing.T, side Side)) {
	t.Run("server", func(t *testing.T) { run(t, Server) })
	t.Run("client", func(t *testing.T) { run(t, Client) })
}
