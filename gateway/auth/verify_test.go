package auth

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestVerifyGrants(t *testing.T) {
	v := testVerifier(t, jwtConfig(nil))
	key := signingKey(t, HS256, "")
	for name, tt := range map[string]struct {
		claims                 string
		subject                string
		subscribe, publish     []string // granted
		noSubscribe, noPublish []string
		channels               []string
		expires                time.Time
	}{
		"nothing": {
			claims: `{}`, noSubscribe: []string{"news"}, noPublish: []string{"news"},
		},
		"arrays": {
			claims:  `{"sub":"bob","subscribe":["news","user.*"],"publish":["chat.**"],"channels":["start"],"exp":1750000060}`,
			subject: "bob", expires: noon.Add(time.Minute),
			subscribe: []string{"news", "user.bob", "start"}, noSubscribe: []string{"chat.a", "user.a.b"},
			publish: []string{"chat.a.b"}, noPublish: []string{"news", "start"},
			channels: []string{"start"},
		},
		"comma separated": {
			claims:    `{"subscribe":"news, user.u","channels":"a,b","publish":""}`,
			subscribe: []string{"news", "user.u", "a", "b"}, noPublish: []string{"news"},
			channels: []string{"a", "b"},
		},
		"subject put in": {
			claims:  `{"sub":"bob","subscribe":["user.{sub}"],"channels":["inbox:{sub}","news"]}`,
			subject: "bob", subscribe: []string{"user.bob", "inbox:bob"}, noSubscribe: []string{"user.alice", "user.{sub}"},
			channels: []string{"inbox:bob", "news"},
		},
		"subject with separators": {
			claims:  `{"sub":"urn:user:42","subscribe":["user.{sub}.**","chat.*"],"publish":["user.{sub}"],"channels":["inbox:{sub}"]}`,
			subject: "urn:user:42", subscribe: []string{"user.urn=3Auser=3A42.a.b", "chat.x"}, publish: []string{"user.urn=3Auser=3A42"},
			noSubscribe: []string{"user.urn:user:42.a", "user.urn=3auser=3a42.a"}, noPublish: []string{"user.urn:user:42"},
			channels: []string{"inbox:urn=3Auser=3A42"},
		},
		"subject like a pattern": {
			claims:  `{"sub":"**","subscribe":["user.{sub}","news"]}`,
			subject: "**", subscribe: []string{"user.=2A=2A", "news"}, noSubscribe: []string{"user.bob", "user.a.b"},
		},
		"subject that leaves no room": {
			claims:  `{"sub":"` + strings.Repeat("a", 199) + `","subscribe":["u-{sub}","{sub}"],"channels":["u-{sub}","news"]}`,
			subject: strings.Repeat("a", 199), subscribe: []string{strings.Repeat("a", 199)}, channels: []string{"news"},
		},
		"null is absent": {
			claims: `{"sub":null,"exp":null,"nbf":null,"subscribe":null,"channels":null,"publish":null}`,
		},
		"spaces and unknown members": {
			claims:  " {\n\t\"x\" : {\"sub\":[\"]}\\\"\", 1 ]} , \"sub\" : \"bob\" , \"y\":[{}], \"z\": -1.5e3 }\r\n",
			subject: "bob",
		},
		"escapes": {
			claims: `{"\u0073ub":"b\u006fb","subscribe":["\u006eews"]}`, subject: "bob", subscribe: []string{"news"},
		},
		"names have case": {
			claims: `{"SUB":"eve","Subscribe":["**"],"sub":"bob"}`, subject: "bob", noSubscribe: []string{"news"},
		},
		"fractions": {
			claims: `{"exp":1750000000.5,"nbf":1749999999.9}`, expires: noon.Add(time.Second / 2),
		},
		"subject of any kind without template": {
			claims: `{"sub":"auth0|bob.b@example.com *","subscribe":"news"}`, subject: "auth0|bob.b@example.com *",
			subscribe: []string{"news"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			g, err := v.Verify(sign(t, key, `{"alg":"HS256"}`, tt.claims), noon)
			if err != nil {
				t.Fatal(err)
			}
			if g.Subject != tt.subject || !g.Expires.Equal(tt.expires) || !slices.Equal(g.Channels, tt.channels) {
				t.Errorf("got subject %q, expires %v, channels %v", g.Subject, g.Expires, g.Channels)
			}
			check := func(what string, may func(string) bool, channels []string, want bool) {
				for _, ch := range channels {
					if may(ch) != want {
						t.Errorf("may %s %q is %v", what, ch, !want)
					}
				}
			}
			check("subscribe to", g.MaySubscribe, tt.subscribe, true)
			check("subscribe to", g.MaySubscribe, tt.noSubscribe, false)
			check("publish to", g.MayPublish, tt.publish, true)
			check("publish to", g.MayPublish, tt.noPublish, false)
		})
	}
}

func TestVerifyRefusesClaims(t *testing.T) {
	v := testVerifier(t, jwtConfig(func(j *JWTConfig) {
		j.Audience = []string{"push", "other"}
		j.Issuer = "https://issuer"
		j.RequireExp = true
		j.Leeway = 5 * time.Second
	}))
	key := signingKey(t, HS256, "")
	many := `["a"` + strings.Repeat(`,"a"`, 100) + `]`
	for name, tt := range map[string]struct {
		more string // after claims that are accepted; a later member must not be given twice
		drop string // a claim to leave out
		want Reason
	}{
		"accepted":               {want: ""},
		"audience in array":      {drop: "aud", more: `"aud":["x","other"]`},
		"within the leeway":      {drop: "exp", more: `"exp":1749999996`},
		"nbf within the leeway":  {more: `"nbf":1750000005`},
		"expired":                {drop: "exp", more: `"exp":1749999995`, want: ReasonExpired},
		"expired long ago":       {drop: "exp", more: `"exp":0`, want: ReasonExpired},
		"not yet":                {more: `"nbf":1750000006`, want: ReasonNotYet},
		"no exp":                 {drop: "exp", want: ReasonClaims},
		"exp as text":            {drop: "exp", more: `"exp":"1750000100"`, want: ReasonClaims},
		"exp before 1970":        {drop: "exp", more: `"exp":-1`, want: ReasonClaims},
		"exp beyond all years":   {drop: "exp", more: `"exp":1e300`, want: ReasonClaims},
		"exp out of range":       {drop: "exp", more: `"exp":1e999`, want: ReasonClaims},
		"nbf as object":          {more: `"nbf":{}`, want: ReasonClaims},
		"another audience":       {drop: "aud", more: `"aud":"pushy"`, want: ReasonAudience},
		"no audience":            {drop: "aud", want: ReasonAudience},
		"empty audience":         {drop: "aud", more: `"aud":[]`, want: ReasonAudience},
		"audience of numbers":    {drop: "aud", more: `"aud":[1]`, want: ReasonClaims},
		"another issuer":         {drop: "iss", more: `"iss":"https://issuer/"`, want: ReasonIssuer},
		"no issuer":              {drop: "iss", want: ReasonIssuer},
		"issuer as array":        {drop: "iss", more: `"iss":["https://issuer"]`, want: ReasonClaims},
		"subject as number":      {more: `"sub":1`, want: ReasonClaims},
		"subject too long":       {more: `"sub":"` + strings.Repeat("a", 257) + `"`, want: ReasonClaims},
		"twice":                  {more: `"sub":"a","sub":"b"`, want: ReasonClaims},
		"twice in disguise":      {more: `"sub":"a","\u0073ub":"b"`, want: ReasonClaims},
		"too many patterns":      {more: `"subscribe":` + many, want: ReasonClaims},
		"too many channels":      {more: `"channels":` + many, want: ReasonClaims},
		"bad pattern":            {more: `"subscribe":["a**b"]`, want: ReasonClaims},
		"bad publish pattern":    {more: `"publish":["a b"]`, want: ReasonClaims},
		"empty pattern":          {more: `"subscribe":"a,,b"`, want: ReasonClaims},
		"pattern as number":      {more: `"subscribe":[1]`, want: ReasonClaims},
		"patterns as object":     {more: `"subscribe":{"a":true}`, want: ReasonClaims},
		"bad channel":            {more: `"channels":["a b"]`, want: ReasonClaims},
		"wildcard channel":       {more: `"channels":["a.*"]`, want: ReasonClaims},
		"template, no subject":   {more: `"subscribe":["user.{sub}"]`, want: ReasonClaims},
		"bad channel by subject": {more: `"sub":"bob","channels":["u {sub}"]`, want: ReasonClaims},
	} {
		t.Run(name, func(t *testing.T) {
			members := []string{}
			for claim, value := range map[string]string{"exp": "1750000100", "aud": `"push"`, "iss": `"https://issuer"`} {
				if claim != tt.drop {
					members = append(members, fmt.Sprintf("%q:%s", claim, value))
				}
			}
			if tt.more != "" {
				members = append(members, tt.more)
			}
			// Twice, because refusals must not depend on what is in the caches.
			for range 2 {
				_, err := v.Verify(sign(t, key, `{"alg":"HS256"}`, "{"+strings.Join(members, ",")+"}"), noon)
				if got := reasonOf(t, err); got != tt.want {
					t.Errorf("got %q (%v), want %q", got, err, tt.want)
				}
			}
		})
	}
}

func TestVerifyRefusesForm(t *testing.T) {
	v := testVerifier(t, jwtConfig(nil))
	key := signingKey(t, HS256, "")
	good := string(sign(t, key, `{"alg":"HS256"}`, `{"sub":"bob"}`))
	part := strings.Split(good, ".")
	for name, tt := range map[string]struct {
		token string
		want  Reason
	}{
		"good":                    {good, ""},
		"none":                    {"", ReasonMissing},
		"text":                    {"hello", ReasonMalformed},
		"two parts":               {part[0] + "." + part[1], ReasonMalformed},
		"four parts":              {good + ".x", ReasonMalformed},
		"dots":                    {"..", ReasonMalformed},
		"too long":                {good + strings.Repeat("A", MaxToken), ReasonMalformed},
		"padding":                 {part[0] + "=." + part[1] + "." + part[2], ReasonMalformed},
		"line end":                {part[0] + "." + part[1] + "." + part[2] + "\n", ReasonMalformed},
		"second spelling":         {good[:len(good)-1] + second(good[len(good)-1]), ReasonMalformed},
		"header no JSON":          {encode("x") + "." + part[1] + "." + part[2], ReasonMalformed},
		"header an array":         {encode("[]") + "." + part[1] + "." + part[2], ReasonMalformed},
		"header a null":           {encode("null") + "." + part[1] + "." + part[2], ReasonMalformed},
		"no alg":                  {string(sign(t, key, `{"typ":"JWT"}`, `{}`)), ReasonMalformed},
		"alg twice":               {string(sign(t, key, `{"alg":"HS256","alg":"HS256"}`, `{}`)), ReasonMalformed},
		"alg a number":            {string(sign(t, key, `{"alg":1}`, `{}`)), ReasonMalformed},
		"critical extension":      {string(sign(t, key, `{"alg":"HS256","crit":["b64"],"b64":false}`, `{}`)), ReasonMalformed},
		"alg none":                {encode(`{"alg":"none"}`) + "." + part[1] + ".", ReasonSignature},
		"alg none with signature": {string(sign(t, key, `{"alg":"none"}`, `{}`)), ReasonSignature},
		"alg None":                {string(sign(t, key, `{"alg":"None"}`, `{}`)), ReasonSignature},
		"alg not allowed":         {string(sign(t, key, `{"alg":"RS512"}`, `{}`)), ReasonSignature},
		"alg unknown":             {string(sign(t, key, `{"alg":"HS1024"}`, `{}`)), ReasonSignature},
		"hash of another alg":     {string(sign(t, key, `{"alg":"HS512"}`, `{}`)), ReasonSignature},
		"no signature":            {part[0] + "." + part[1] + ".", ReasonSignature},
		"other claims":            {part[0] + "." + encode(`{"sub":"eve"}`) + "." + part[2], ReasonSignature},
		"shorter signature":       {part[0] + "." + part[1] + "." + encode("x"), ReasonSignature},
		"kid without meaning":     {string(sign(t, key, `{"alg":"HS256","kid":"x"}`, `{}`)), ""},
		"kid and wrong signature": {string(sign(t, SigningKey{method: key.method, material: []byte("x")}, `{"alg":"HS256","kid":"x"}`, `{}`)), ReasonSignature},
		"claims an array":         {string(sign(t, key, `{"alg":"HS256"}`, `[]`)), ReasonClaims},
		"claims empty":            {string(sign(t, key, `{"alg":"HS256"}`, ``)), ReasonClaims},
		"claims not ended":        {string(sign(t, key, `{"alg":"HS256"}`, `{"sub":"bob"`)), ReasonClaims},
		"claims not UTF-8":        {string(sign(t, key, `{"alg":"HS256"}`, "{\"sub\":\"\xff\"}")), ReasonClaims},
	} {
		t.Run(name, func(t *testing.T) {
			g, err := v.Verify([]byte(tt.token), noon)
			if got := reasonOf(t, err); got != tt.want {
				t.Errorf("got %q (%v), want %q", got, err, tt.want)
			}
			if (g == nil) != (err != nil) {
				t.Errorf("got grant %v with error %v", g, err)
			}
		})
	}
}

func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// second returns the character that a lenient decoder reads like the last one
// of 32 bytes: it differs in the two bits that are left over.
func second(last byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[strings.IndexByte(alphabet, last)|1])
}

// TestKeyDecidesAlgorithm signs with everything an attacker has and with every
// algorithm's name.
func TestKeyDecidesAlgorithm(t *testing.T) {
	for _, a := range []Algorithm{RS256, ES256, EdDSA} {
		t.Run(string(a), func(t *testing.T) {
			public := publicPEM(t, testKeys()[a].Public())
			v := testVerifier(t, jwtConfig(func(j *JWTConfig) { j.Secret, j.PublicKey = "", public }))
			key := signingKey(t, a, "")
			if _, err := v.Verify(mint(t, Claims{}, key), noon); err != nil {
				t.Fatal(err)
			}
			for _, secret := range []string{public, strings.TrimSpace(public), ""} {
				forged := SigningKey{method: signingKey(t, HS256, "").method, material: []byte(secret)}
				for _, name := range append([]Algorithm{"none"}, algorithms...) {
					token := sign(t, forged, `{"alg":"`+string(name)+`"}`, `{"sub":"eve"}`)
					if g, err := v.Verify(token, noon); reasonOf(t, err) != ReasonSignature {
						t.Errorf("alg %s: got %v, %v", name, g, err)
					}
				}
			}
			for _, other := range algorithms {
				if slices.Contains(v.allowed, other) {
					continue // the same key's
				}
				if _, err := v.Verify(mint(t, Claims{}, signingKey(t, other, "")), noon); reasonOf(t, err) != ReasonSignature {
					t.Errorf("a token signed with %s: %v", other, err)
				}
			}
		})
	}
}

func TestAlgorithmsAllowed(t *testing.T) {
	both := func(j *JWTConfig) { j.PublicKey = publicPEM(t, testKeys()[ES384].Public()) }
	for name, tt := range map[string]struct {
		algorithms []string
		accepted   []Algorithm
	}{
		"derived": {nil, []Algorithm{HS256, HS384, HS512, ES384}},
		"one":     {[]string{"ES384"}, []Algorithm{ES384}},
		"two":     {[]string{"HS512", "ES384"}, []Algorithm{HS512, ES384}},
	} {
		t.Run(name, func(t *testing.T) {
			v := testVerifier(t, jwtConfig(func(j *JWTConfig) { both(j); j.Algorithms = tt.algorithms }))
			for _, a := range algorithms {
				_, err := v.Verify(mint(t, Claims{}, signingKey(t, a, "")), noon)
				if got, want := err == nil, slices.Contains(tt.accepted, a); got != want {
					t.Errorf("%s: %v", a, err)
				}
			}
		})
	}
}

// TestSeveralPublicKeys is how keys are changed without a gap.
func TestSeveralPublicKeys(t *testing.T) {
	v := testVerifier(t, jwtConfig(func(j *JWTConfig) {
		j.Secret = ""
		j.PublicKey = publicPEMs(t)
	}))
	for _, a := range publicAlgorithms {
		if _, err := v.Verify(mint(t, Claims{}, signingKey(t, a, "any")), noon); err != nil {
			t.Errorf("%s: %v", a, err)
		}
	}
}

func TestErrorHidesConfiguration(t *testing.T) {
	var logged bytes.Buffer
	cfg := jwtConfig(func(j *JWTConfig) {
		j.Issuer, j.Audience, j.Secret = "hidden-issuer", []string{"hidden-audience"}, "hidden-secret"
	})
	v, err := New(cfg, channelName, slog.New(slog.NewTextHandler(&logged, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(logged.String(), "short") || strings.Contains(logged.String(), "hidden") {
		t.Errorf("the log about a short secret is %q", logged.String())
	}
	key := SigningKey{method: signingKey(t, HS256, "").method, material: []byte("hidden-secret")}
	for _, claims := range []string{`{}`, `{"iss":"hidden-issuer"}`, `{"iss":1}`} {
		_, err := v.Verify(sign(t, key, `{"alg":"HS256"}`, claims), noon)
		if err == nil || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: the error is %v", claims, err)
		}
	}
}
