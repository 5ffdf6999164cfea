package websocket

import (
	"slices"

	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/protocol"
)

// own is the gateway's own subprotocol, whatever others are configured.
const own = "pushgate.v1"

// goodOffers reports whether all offers are tokens (RFC 6455, 4.1).
func goodOffers(r *http1.Request) bool {
	for offer := range protocol.Offers(r) {
		if !http1.IsTokenList(offer) {
			return false
		}
	}
	return true
}

// chooseSubprotocol returns the gateway's own if the client offers it, else the first configured
// offer, or "".
func (s *Sockets) chooseSubprotocol() (chosen string) {
	for offer := range protocol.Offers(s.Hub.HTTP.Request()) {
		if string(offer) == own {
			return own
		}
		if k := slices.Index(s.Hub.Options.Subprotocols, string(offer)); k >= 0 && chosen == "" {
			chosen = s.Hub.Options.Subprotocols[k]
		}
	}
	return chosen
}

// agree adds the chosen subprotocol to the response to the handshake being answered. Without one a
// browser fails the connection (RFC 6455, 4.1): that is logged, without the offers, since tokens
// are among them.
func (s *Sockets) agree(answer []byte) []byte {
	r := s.Hub.HTTP.Request()
	if r.Subprotocols == nil {
		return answer
	}
	chosen := s.chooseSubprotocol()
	if chosen == "" {
		if origin := string(r.Origin); origin != "" {
			if isNew, _ := s.Hub.Shared.UnknownSubprotocols.IsNew(origin); isNew {
				s.Hub.Log.Info("a page offers only unknown subprotocols: browsers fail its connections", "origin", origin,
					"key", "websocket.subprotocols", "fix", "have it offer "+own+" too, or name one of its own in websocket.subprotocols")
			}
		}
		return answer
	}
	answer = answer[:len(answer)-len("\r\n")]
	answer = append(append(answer, "Sec-WebSocket-Protocol: "...), chosen...)
	return append(answer, "\r\n\r\n"...)
}
