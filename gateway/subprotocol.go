package gateway

import (
	"bytes"
	"iter"
	"slices"
	"strings"

	"github.com/pushgate/pushgate/gateway/http1"
)

const (
	// subprotocol is the gateway's own, whatever others are configured.
	subprotocol = "pushgate.v1"
	// bearerPrefix marks an offer that is a token: a page can set no other header of a WebSocket's
	// handshake, and all characters of a JWT are allowed in an offer.
	bearerPrefix = "bearer."
)

// offers returns the client's offers in Sec-WebSocket-Protocol, which may span several lines (RFC
// 6455, 11.3.4).
func offers(r *http1.Request) iter.Seq[[]byte] {
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

// goodOffers reports whether all offers are tokens (RFC 6455, 4.1).
func goodOffers(r *http1.Request) bool {
	for offer := range offers(r) {
		if !http1.IsTokenList(offer) {
			return false
		}
	}
	return true
}

// chooseSubprotocol returns the gateway's own if the client offers it, else the first configured
// offer, or "".
func (s *shard) chooseSubprotocol() (chosen string) {
	for offer := range offers(&s.request) {
		if string(offer) == subprotocol {
			return subprotocol
		}
		if k := slices.Index(s.cfg.WebSocket.Subprotocols, string(offer)); k >= 0 && chosen == "" {
			chosen = s.cfg.WebSocket.Subprotocols[k]
		}
	}
	return chosen
}

// offeredToken returns the token among the subprotocols of a WebSocket's handshake, nil if there is
// none.
func offeredToken(r *http1.Request) []byte {
	if !r.Upgrade() {
		return nil
	}
	for offer := range offers(r) {
		if token, ok := bytes.CutPrefix(offer, []byte(bearerPrefix)); ok && len(token) > 0 {
			return token
		}
	}
	return nil
}

// agree adds the chosen subprotocol to the response to the handshake in s.request. Without one a
// browser fails the connection (RFC 6455, 4.1): that is logged, without the offers, since tokens
// are among them.
func (s *shard) agree(answer []byte) []byte {
	if s.request.Subprotocols == nil {
		return answer
	}
	chosen := s.chooseSubprotocol()
	if chosen == "" {
		if origin := string(s.request.Origin); origin != "" {
			if isNew, _ := s.srv.speechless.IsNew(origin); isNew {
				s.log.Info("a page offers only unknown subprotocols: browsers fail its connections", "origin", origin,
					"key", "websocket.subprotocols", "fix", "have it offer "+subprotocol+" too, or name one of its own in websocket.subprotocols")
			}
		}
		return answer
	}
	answer = answer[:len(answer)-len("\r\n")]
	answer = append(append(answer, "Sec-WebSocket-Protocol: "...), chosen...)
	return append(answer, "\r\n\r\n"...)
}

// validateSubprotocols requires tokens (RFC 6455, 4.1).
func (c Config) validateSubprotocols() error {
	for _, name := range c.WebSocket.Subprotocols {
		if name == "" || strings.Contains(name, ",") || !http1.IsTokenList([]byte(name)) || strings.HasPrefix(name, bearerPrefix) {
			return configError("websocket.subprotocols", name, "names without spaces and separators, none of which begins with "+bearerPrefix)
		}
	}
	return nil
}
