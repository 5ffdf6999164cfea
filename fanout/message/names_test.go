package message

import (
	"strings"
	"testing"
)

func TestValidChannel(t *testing.T) {
	tests := map[string]struct {
		name string
		ok   bool
	}{
		"letters":       {"news", true},
		"every mark":    {channelBytes.punctuation, true},
		"one byte":      {"a", true},
		"longest":       {strings.Repeat("x", 200), true},
		"empty":         {"", false},
		"too long":      {strings.Repeat("x", 201), false},
		"space":         {"a b", false},
		"comma":         {"a,b", false},
		"quote":         {`a"b`, false},
		"backslash":     {`a\b`, false},
		"star":          {"user.*", false},
		"brace":         {"{a}", false},
		"newline":       {"a\n", false},
		"nul":           {"\x00", false},
		"not ASCII":     {"straße", false},
		"invalid UTF-8": {"\xff", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := ValidChannel(tt.name)
			if (err == nil) != tt.ok {
				t.Fatalf("ValidChannel(%q) = %v, want ok %v", tt.name, err, tt.ok)
			}
			if err != nil && strings.ContainsAny(err.Error(), "\n\x00") {
				t.Errorf("error %q shows the byte raw", err)
			}
		})
	}
}

func TestValidChannelAllocatesNothing(t *testing.T) {
	name := []byte("user.12345")
	if n := testing.AllocsPerRun(100, func() { _ = ValidChannel(string(name)) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
