package native

import (
	"encoding/json"
	"strings"
	"testing"
	"unsafe"
)

// A command's data isn't copied by decoding, and equals encoding/json's copy.
func TestDataIsNotCopied(t *testing.T) {
	for _, data := range []string{`1`, `"` + strings.Repeat("é", 30_000) + `"`, ` {"a": [1, "}"]} `, `null`, "\t[ ]\n"} {
		text := []byte(`{"type":"publish","channel":"a","data":` + data + `,"ref":1}`)
		var cmd command
		var copied struct{ Data json.RawMessage }
		if err := json.Unmarshal(text, &cmd); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &copied); err != nil {
			t.Fatal(err)
		}
		if string(cmd.Data) != string(copied.Data) {
			t.Errorf("%.50q: %.50q, want %.50q", text, cmd.Data, copied.Data)
		}
		begin, at := uintptr(unsafe.Pointer(unsafe.SliceData(text))), uintptr(unsafe.Pointer(unsafe.SliceData(cmd.Data)))
		if at < begin || at >= begin+uintptr(len(text)) {
			t.Errorf("%.50q: the data is elsewhere", text)
		}
	}
}
