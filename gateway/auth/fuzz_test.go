package auth

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"testing"
)

// FuzzVerify checks what is accepted by other means: the text must be one that
// was signed here, or its HMAC must be right.
func FuzzVerify(f *testing.F) {
	cfg := jwtConfig(func(j *JWTConfig) {
		j.PublicKey = publicPEMs(f)
	})
	v := testVerifier(f, cfg)
	claims := Claims{Subject: "bob", Subscribe: []string{"user.{sub}"}, Expires: noon.AddDate(1, 0, 0)}
	key := signingKey(f, HS256, "")
	f.Add(sign(f, key, `{"alg":"none"}`, `{}`))
	f.Add(sign(f, key, `{"alg":"HS256","crit":[]}`, `{"aud":[]}`))
	f.Add([]byte("a.b.c"))
	signed := map[string]bool{} // header and claims that a key signed here
	for _, a := range algorithms {
		for _, kid := range []string{"", "kid"} {
			token := mint(f, claims, signingKey(f, a, kid))
			f.Add(token)
			signed[string(token[:bytes.LastIndexByte(token, '.')])] = true
		}
	}
	f.Fuzz(func(t *testing.T, token []byte) {
		g, err := v.Verify(token, noon)
		if err != nil {
			if g != nil || reasonOf(t, err) == "" {
				t.Fatalf("refused with %v and %v", g, err)
			}
			return
		}
		dot := bytes.LastIndexByte(token, '.')
		text, signature := token[:dot], string(token[dot+1:])
		mac := hmac.New(sha256.New, []byte(testSecret))
		mac.Write(text)
		if base64.RawURLEncoding.EncodeToString(mac.Sum(nil)) != signature && !signed[string(text)] {
			t.Fatalf("accepted %q, which was not signed", token)
		}
	})
}

// FuzzClaims signs whatever claims come, because the parser is behind the
// signature, and compares it with encoding/json.
func FuzzClaims(f *testing.F) {
	v := testVerifier(f, jwtConfig(nil))
	key := signingKey(f, HS256, "")
	for _, seed := range []string{
		`{}`, ` { "sub" : "bob" , "exp":1850000000.5, "nbf":0, "x":{"sub":[1,"}"]} } `,
		`{"subscribe":["user.{sub}","a.*"],"publish":"a,b","channels":["a"],"sub":"b"}`,
		`{"\u0073ub":"b\"\\","aud":["a"],"iss":null}`, `{"a":[[[]]],"b":true,"sub":"\ud800"}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, payload string) {
		if len(payload) > 4096 {
			return
		}
		g, err := v.Verify(sign(t, key, `{"alg":"HS256"}`, payload), noon)
		if err != nil {
			reasonOf(t, err)
			return
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal([]byte(payload), &members); err != nil {
			t.Fatalf("accepted %q: %v", payload, err)
		}
		var sub string
		if raw, ok := members["sub"]; ok && json.Unmarshal(raw, &sub) != nil {
			t.Fatalf("accepted %q", payload)
		}
		if g.Subject != sub || len(g.Channels) > maxEntries || !g.Expires.IsZero() && !noon.Before(g.Expires) {
			t.Fatalf("%q granted %+v", payload, g)
		}
		for _, name := range g.Channels {
			if err := channelName(name); err != nil {
				t.Fatalf("granted channel %q: %v", name, err)
			}
		}
	})
}
