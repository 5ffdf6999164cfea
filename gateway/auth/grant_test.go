package auth

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"time"
	"unsafe"
)

func TestModeNone(t *testing.T) {
	v := testVerifier(t, DefaultConfig())
	a, err1 := v.Verify(nil, noon)
	b, err2 := v.Verify([]byte("anything"), noon)
	if a != b || a == nil || err1 != nil || err2 != nil {
		t.Fatalf("got %p, %v and %p, %v, want one shared grant", a, err1, b, err2)
	}
	if !a.MaySubscribe("a.b:c/d") || !a.MayPublish("x") || !a.Expires.IsZero() || v.Ready() != nil {
		t.Error("mode none does not grant everything for ever")
	}
}

func TestGrantsAreShared(t *testing.T) {
	v := testVerifier(t, jwtConfig(nil))
	key := signingKey(t, HS256, "")
	claims := Claims{Subject: "bob", Subscribe: []string{"news", "user.{sub}"}, Channels: []string{"news"}}
	grant := func(change func(*Claims)) *Grant {
		c := claims
		change(&c)
		g, err := v.Verify(mint(t, c, key), noon)
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	first := grant(func(*Claims) {})
	if again := grant(func(c *Claims) { c.IssuedAt = noon }); again != first {
		t.Error("two tokens that grant the same have two grants")
	}
	alice := grant(func(c *Claims) { c.Subject = "alice" })
	if alice == first || alice.Subscribe.set != first.Subscribe.set || &alice.Channels[0] != &first.Channels[0] {
		t.Error("two subjects don't share their patterns and channels")
	}
	for name, change := range map[string]func(*Claims){
		"expires":  func(c *Claims) { c.Expires = noon.Add(time.Hour) },
		"publish":  func(c *Claims) { c.Publish = []string{"news"} },
		"channels": func(c *Claims) { c.Channels = nil },
		"swapped":  func(c *Claims) { c.Subscribe, c.Channels = c.Channels, nil },
	} {
		if grant(change) == first {
			t.Errorf("%s: another token got the same grant", name)
		}
	}
}

// TestVerifyKeepsNothing overwrites the token, as the read buffer will be.
func TestVerifyKeepsNothing(t *testing.T) {
	v := testVerifier(t, jwtConfig(nil))
	token := mint(t, Claims{Subject: "bob", Subscribe: []string{"user.{sub}"}, Channels: []string{"news"}}, signingKey(t, HS256, ""))
	g, err := v.Verify(token, noon)
	if err != nil {
		t.Fatal(err)
	}
	copy(token, bytes.Repeat([]byte("x"), len(token)))
	if _, err := v.Verify(mint(t, Claims{Subject: "eve", Channels: []string{"evil"}}, signingKey(t, HS256, "")), noon); err != nil {
		t.Fatal(err)
	}
	if g.Subject != "bob" || !g.MaySubscribe("user.bob") || g.Channels[0] != "news" {
		t.Errorf("the grant changed to %+v", g)
	}
}

// TestVerifyConcurrently has more tokens than the caches hold.
func TestVerifyConcurrently(t *testing.T) {
	v := testVerifier(t, jwtConfig(nil))
	v.rights, v.grants = newCache[string, *rights](8), newCache[grantKey, *Grant](8)
	key := signingKey(t, HS256, "")
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := range 200 {
				sub := fmt.Sprintf("u%d", (i*7+worker)%50)
				g, err := v.Verify(mint(t, Claims{Subject: sub, Subscribe: []string{"only-" + sub, "{sub}"}}, key), noon)
				if err != nil || g.Subject != sub || !g.MaySubscribe("only-"+sub) || g.MaySubscribe("only-x") || !g.MaySubscribe(sub) {
					t.Errorf("%s: got %+v, %v", sub, g, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestGrantSize(t *testing.T) {
	if size := unsafe.Sizeof(Grant{}); size > 80 {
		t.Errorf("a grant takes %d bytes, one exists for each connection with a token of its own", size)
	}
}
