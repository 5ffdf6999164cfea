package protocol

import (
	"bytes"
	"iter"
	"strings"

	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/client"
)

// bearerPrefix marks an offered subprotocol that is a token: a page can set no other header of a
// WebSocket's handshake, and all characters of a JWT are allowed in an offer.
const bearerPrefix = "bearer."

// IsToken reports whether an offered subprotocol is a token.
func IsToken(offer string) bool { return strings.HasPrefix(offer, bearerPrefix) }

// Offers returns the client's offers in Sec-WebSocket-Protocol, which may span several lines (RFC
// 6455, 11.3.4).
func Offers(r *http1.Request) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if r.Subprotocols == nil {
			return
		}
		for f := r.Fields(); ; {
			name, value, ok := f.Next()
			if !ok {
				return
			}
			if !strings.EqualFold(string(name), "Sec-WebSocket-Protocol") {
				continue
			}
			for offer := range bytes.SplitSeq(value, []byte(",")) {
				if offer = bytes.Trim(offer, " \t"); len(offer) > 0 && !yield(offer) {
					return
				}
			}
		}
	}
}

// Token returns the token of the request being routed: from the Authorization header, else from a
// WebSocket's subprotocols, else from the query.
func Token(h *client.Hub) []byte {
	r := h.HTTP.Request()
	if token := r.Bearer(); len(token) > 0 {
		return token
	}
	if token := offeredToken(r); token != nil {
		return token
	}
	q := h.HTTP.Query()
	token, _ := q.Get("token")
	return token
}

// offeredToken returns the token among the subprotocols of a WebSocket's handshake, nil if there is
// none.
func offeredToken(r *http1.Request) []byte {
	if !r.Upgrade() {
		return nil
	}
	for offer := range Offers(r) {
		if token, ok := bytes.CutPrefix(offer, []byte(bearerPrefix)); ok && len(token) > 0 {
			return token
		}
	}
	return nil
}
