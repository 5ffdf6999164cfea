package torture

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/pushgate/pushgate/gateway/auth"
)

type claims = auth.Claims

// token returns a signed one.
func token(c claims, ttl time.Duration) string {
	key, err := auth.NewSigningKey([]byte(secret), "", nil)
	if err != nil {
		panic(err)
	}
	c.IssuedAt, c.Expires = time.Now(), time.Now().Add(ttl)
	text, err := auth.Mint(c, key)
	if err != nil {
		panic(err)
	}
	return text
}

// drawToken returns a random client's token: mostly a good one, else one that ends soon, has
// ended, is another's or is none.
func (c *client) drawToken(random *rand.Rand) string {
	who := claims{Subject: fmt.Sprint("user-", random.IntN(3)), Subscribe: []string{"noise.**"}, Publish: []string{"noise.**"}}
	ttl := time.Hour
	switch random.IntN(20) {
	case 0:
		ttl = time.Second
	case 1:
		ttl = -time.Minute
	case 2:
		who.Subscribe = []string{"noise.kept.*"}
	case 3:
		for range 80 {
			who.Channels = append(who.Channels, noiseChannel(random))
		}
	case 4:
		text := []byte(token(who, ttl))
		text[random.IntN(len(text))] ^= 1
		return strings.ToValidUTF8(string(text), "x")
	case 5:
		return pick(random, "", "x", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", strings.Repeat("t", 9000))
	}
	return token(who, ttl)
}
