package units

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestQuantities(t *testing.T) {
	count := func(text string) (float64, error) { n, err := ParseCount(text); return float64(n), err }
	size := func(text string) (float64, error) { n, err := ParseSize(text); return float64(n), err }
	tests := []struct {
		parse func(string) (float64, error)
		text  string
		want  float64
		err   string
	}{
		{count, "0", 0, ""},
		{count, "10k", 10_000, ""},
		{count, "1M", 1_000_000, ""},
		{count, "1.1k", 1100, ""},
		{count, "0.0000005M", 0, "is not a whole number"},
		{count, "1.5", 0, "is not a whole number"},
		{count, "10K", 0, "write k for thousand"},
		{count, "1m", 0, "write M for a million"},
		{count, "1KiB", 0, "such as 500, 10k or 1.5M"},
		{count, "-1", 0, "such as 500"},
		{count, "1e3", 0, "such as 500"},
		{count, "0x10", 0, "such as 500"},
		{count, "10,000", 0, "such as 500"},
		{count, "1_000", 0, "such as 500"},
		{count, "", 0, "such as 500"},
		{count, "99999999999M", 0, "such as 500"},
		{ParseRate, "2.5/s", 2.5, ""},
		{ParseRate, "10k", 10_000, ""},
		{ParseRate, "1.5M/s", 1_500_000, ""},
		{ParseRate, "10K/s", 0, "write k for thousand"},
		{ParseRate, "10/m", 0, "a number per second"},
		{size, "128", 128, ""},
		{size, "600B", 600, ""},
		{size, "64KiB", 65536, ""},
		{size, "1.5 MiB", 1.5 * (1 << 20), ""},
		{size, "1GiB", 1 << 30, ""},
		{size, "1.5B", 0, "is not a whole number of bytes"},
		{size, "1k", 0, "write KiB for 1,024 bytes"},
		{size, "1KB", 0, "write KiB"},
		{size, "1kB", 0, "write KiB"},
		{size, "1M", 0, "write MiB"},
		{size, "1gb", 0, "write GiB"},
	}
	for _, tt := range tests {
		got, err := tt.parse(tt.text)
		if tt.err == "" && (err != nil || got != tt.want) {
			t.Errorf("%q: got %v, %v, want %v", tt.text, got, err, tt.want)
		}
		if tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("%q: got %v, %v, want an error with %q", tt.text, got, err, tt.err)
		}
	}
}

// A formatted number parses as the same number.
func TestNumber(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := math.Round(rapid.Float64Range(0, 1e9).Draw(t, "rate")*1e6) / 1e6
		if got, err := ParseRate(Number(want)); err != nil || got != want {
			t.Fatalf("%v is written %s and read as %v, %v", want, Number(want), got, err)
		}
	})
}

func TestBytes(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0 B", 612: "612 B", 9000: "9000 B", 10 << 10: "10.0 KiB", 5 << 20: "5120.0 KiB", 25 << 20: "25.0 MiB",
		1 << 30: "1.00 GiB", 16.5 * (1 << 30): "16.50 GiB", -2048: "-2048 B", -20 << 10: "-20.0 KiB",
	} {
		if got := Bytes(v); got != want {
			t.Errorf("Bytes(%v) is %q, want %q", v, got, want)
		}
	}
	for n, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1 KiB", 16 << 10: "16 KiB", 1<<20 - 1: "1023 KiB", 512 << 20: "512 MiB",
		1014 << 20: "1014 MiB", 1 << 30: "1.0 GiB", 5632000000: "5.2 GiB",
	} {
		if got := WholeBytes(n); got != want {
			t.Errorf("WholeBytes(%d) is %q, want %q", n, got, want)
		}
	}
}

// No number is written with an exponent.
func TestShort(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 0.25: "0.25", 1.0 / 3: "0.333", 12.345: "12.3", 999.4: "999", 999.5: "1000", 999.9996: "1000", -999.9996: "-1000", 1234.5: "1234", 1e6: "1000000",
	} {
		if got := Short(v); got != want {
			t.Errorf("%v: got %s, want %s", v, got, want)
		}
	}
}
