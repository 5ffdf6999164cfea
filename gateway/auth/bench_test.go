package auth

import (
	"encoding/json"
	"fmt"
	"math"
	"runtime"
	"testing"
	"time"

	"github.com/pushgate/pushgate/internal/gatewaytest"
)

var benchClaims = Claims{
	Subject: "user-1234567", Issuer: "https://issuer.example", Audience: []string{"push"},
	IssuedAt: noon, Expires: noon.Add(time.Hour),
	Subscribe: []string{"news", "user.{sub}"}, Publish: []string{"chat.*"}, Channels: []string{"news"},
}

// BenchmarkVerify verifies one token again and again, which is the price of the
// signature, the parser and the look-ups.
func BenchmarkVerify(b *testing.B) {
	for _, a := range algorithms {
		b.Run(string(a), func(b *testing.B) {
			cfg := jwtConfig(nil)
			if private, ok := testKeys()[a]; ok {
				cfg.JWT.Secret, cfg.JWT.PublicKey = "", publicPEM(b, private.Public())
			}
			v, token := testVerifier(b, cfg), mint(b, benchClaims, signingKey(b, a, ""))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(token, noon); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkVerifySubjects verifies tokens of many subjects: templates share
// their patterns, spelled-out patterns are compiled each time.
func BenchmarkVerifySubjects(b *testing.B) {
	for name, spelled := range map[string]bool{"template": false, "spelled": true} {
		b.Run(name, func(b *testing.B) {
			v, key := testVerifier(b, jwtConfig(nil)), signingKey(b, HS256, "")
			tokens := make([][]byte, 20_000)
			for i := range tokens {
				tokens[i] = mint(b, subjectClaims(i, spelled), key)
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if _, err := v.Verify(tokens[i%len(tokens)], noon); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
	}
}

func subjectClaims(i int, spelled bool) Claims {
	c := benchClaims
	c.Subject = fmt.Sprintf("user-%07d", i)
	if spelled {
		c.Subscribe = []string{"news", "user." + c.Subject}
	}
	return c
}

// BenchmarkGrantMemory reports what a connection with a subject of its own (12
// bytes) keeps on the heap.
func BenchmarkGrantMemory(b *testing.B) {
	for name, spelled := range map[string]bool{"template": false, "spelled": true} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				b.ReportMetric(grantBytes(b, 100_000, spelled), "B/grant")
			}
		})
	}
}

// grantBytes is the heap that n grants keep, without the caches.
func grantBytes(t testing.TB, n int, spelled bool) float64 {
	v, key := testVerifier(t, jwtConfig(nil)), signingKey(t, HS256, "")
	grants := make([]*Grant, n)
	before := gatewaytest.HeapInUse()
	for i := range grants {
		g, err := v.Verify(mint(t, subjectClaims(i, spelled), key), noon)
		if err != nil {
			t.Fatal(err)
		}
		grants[i] = g
	}
	v.rights, v.grants = nil, nil
	bytes := float64(gatewaytest.HeapInUse()-before) / float64(n)
	runtime.KeepAlive(grants)
	return bytes
}

func TestGrantMemory(t *testing.T) {
	// The grant's 80 bytes and the subject's 16.
	if got := grantBytes(t, 20_000, false); got > 110 {
		t.Errorf("a grant out of a template keeps %.0f bytes", got)
	}
}

func TestVerifyAllocations(t *testing.T) {
	v, token := testVerifier(t, jwtConfig(nil)), mint(t, benchClaims, signingKey(t, HS256, ""))
	bad := append([]byte(nil), token...)
	bad[len(bad)-2] ^= 1
	g, err := v.Verify(token, noon) // which remembers the header, whatever case comes first
	if err != nil {
		t.Fatal(err)
	}
	// 7 of them are the HMAC's. Under the race detector sync.Pool drops every
	// fourth buffer at random, and a new one costs three allocations.
	for name, tt := range map[string]struct {
		token []byte
		most  float64
	}{"accepted": {token, 14}, "signature": {bad, 10}, "missing": {nil, 0}, "too long": {make([]byte, MaxToken+1), 0}} {
		got := math.Inf(1)
		for range 5 { // the runtime's own goroutines are counted too
			got = min(got, testing.AllocsPerRun(200, func() { v.Verify(tt.token, noon) }))
		}
		if got > tt.most {
			t.Errorf("%s: %v allocations, want at most %v", name, got, tt.most)
		}
	}
	if got := testing.AllocsPerRun(200, func() { g.MaySubscribe("user.user-1234567"); g.MayPublish("chat.x") }); got != 0 {
		t.Errorf("asking a grant takes %v allocations", got)
	}
}

// BenchmarkClaims compares the parser with encoding/json into a struct.
func BenchmarkClaims(b *testing.B) {
	payload := []byte(`{"sub":"user-1234567","exp":1893456000,"iss":"https://issuer.example","aud":"push","subscribe":["news","user.{sub}"],"channels":["news"],"publish":["chat.*"]}`)
	b.Run("members", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var c claims
			if err := c.parse(payload); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("struct", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var c struct {
				Sub, Iss                          string
				Exp                               json.Number
				Aud, Subscribe, Channels, Publish json.RawMessage
			}
			if err := json.Unmarshal(payload, &c); err != nil {
				b.Fatal(err)
			}
		}
	})
}
