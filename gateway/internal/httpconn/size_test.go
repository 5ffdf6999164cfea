package httpconn

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"unsafe"
)

func TestSizeOfExchange(t *testing.T) {
	text, err := os.ReadFile("../../../docs/ARCHITECTURE.md")
	if row := fmt.Sprintf("| request | %d |", unsafe.Sizeof(exchange{})); err != nil || !strings.Contains(string(text), row) {
		t.Errorf("ARCHITECTURE.md has no row %q: %v", row, err)
	}
}
