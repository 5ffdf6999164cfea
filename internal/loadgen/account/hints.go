package account

import (
	"fmt"
	"strings"
)

// Hints returns advice on the reasons that have some, the most frequent first.
func Hints(foreign bool, of ...Tally) (all []string) {
	for _, why := range ByCount(Merged(of...)) {
		switch h := why.hint(foreign); {
		case h != "":
			all = append(all, fmt.Sprintf("%s: %s", why, h))
		case why.Words():
			all = append(all, string(why)) // which says it all
		}
	}
	return all
}

// hint is advice on a reason of failure, of a gateway's clients or of another server's; empty
// when the reason says it all.
func (r Reason) hint(foreign bool) string {
	h := hints[r.bare()]
	if foreign && h.foreign != "" {
		return h.foreign
	}
	switch text := string(r.bare()); {
	case strings.HasPrefix(text, "HTTP 3") && strings.Contains(text, ReasonTo):
		return "the target sends clients elsewhere, where a WebSocket can't follow: is that the address for --url?"
	case strings.HasPrefix(text, "HTTP 502 by ") || strings.HasPrefix(text, "HTTP 503 by "):
		return "the proxy answered, because it reaches no gateway: is one running where its configuration says?"
	case strings.HasPrefix(text, "HTTP 504 by "):
		return "the proxy answered, because the gateway took longer than its read timeout: that must be longer than a poll waits (25 s)"
	case strings.HasPrefix(text, "HTTP ") && strings.Contains(text, ReasonBy):
		return "the proxy answered and not the gateway: does its configuration pass this path on?"
	}
	if h.gateway == notAGateway && r.Words() && !strings.HasSuffix(string(r), `"`) {
		return "" // a gateway's own words
	}
	return h.gateway
}

// Hints for several reasons each.
const (
	notAGateway = "the target does not look like a gateway: is --url right? Another server is measured with --foreign"
	noPushgate  = "this server is no gateway, or not one of pushgate: --foreign has it measured all the same, " +
		"--hello and --publish-url or --publish-cmd say how"
	tooSlow    = "the server does not keep up: lower -c or --connect-rate, or raise --timeout; also look for TLS on that port (wss://)"
	maybeTLS   = "that port may speak TLS, or it isn't a gateway's: is --url right, ws:// or wss://?"
	wantsToken = "the gateway wants a token that it can check: --jwt-key must name its secret or private key, " +
		"and --jwt-issuer and --jwt-audience what it expects"
	noRight  = "the gateway refuses the channels: see --jwt-key and --channels"
	rejected = "the gateway turns clients away: see its limits.connections and its log"

	wrongPath      = "the server takes no such clients on that path: are --url and --transport right?"
	dropsClients   = "that port may speak TLS (wss://), or not where --url says so, or the server drops such clients: are --url and --hello right?"
	wantsIdentity  = "the server wants to know its clients: --header, --subprotocol or --hello tell it"
	serverRejected = "the server turns clients away: see its limits and its log"
)

// hints are by the bare reason.
var hints = map[Reason]struct{ gateway, foreign string }{
	ReasonNotTLS:       {gateway: "the port speaks no TLS: ws:// or http://?"},
	ReasonIssuer:       {gateway: "--ca FILE names who signed it; --insecure takes any certificate"},
	ReasonName:         {gateway: "--url must have a name that the certificate is for; --insecure takes any certificate"},
	ReasonRefused:      {"nothing listens there: is the gateway running, is --url right?", "nothing listens there: is the server running, is --url right?"},
	ReasonUnreachable:  {gateway: "no route to the target: is --url right?"},
	ReasonNoPort:       {gateway: "more source addresses: --src 127.0.0.2-127.0.0.9"},
	ReasonNoDescriptor: {gateway: "raise the descriptor limit (ulimit -n) or lower -n"},
	ReasonSource:       {gateway: "an address of --src can't be bound on this host or not reach the target"},
	ReasonTimeout:      {gateway: tooSlow},
	ReasonTimedOut:     {gateway: tooSlow},
	ReasonSubscribe:    {gateway: "the gateway took the connection but did not confirm the channels: is its Redis reachable?"},
	ReasonWelcome:      {gateway: noPushgate},
	ReasonForeign:      {gateway: noPushgate},
	ReasonNotHTTP:      {gateway: "the target does not speak plain HTTP/1.1: is --url right, is there TLS on that port (wss://)?"},
	ReasonHTTP10:       {gateway: "the target is a web server of an old kind and no gateway, which speaks HTTP/1.1: is --url right?"},
	ReasonUpgrade:      {notAGateway, wrongPath},
	ReasonAccept:       {notAGateway, wrongPath},
	ReasonContentType:  {notAGateway, wrongPath},
	ReasonCursor:       {gateway: notAGateway},
	StatusReason(404):  {notAGateway, wrongPath},
	StatusReason(400):  {notAGateway, wrongPath},
	StatusReason(405):  {notAGateway, wrongPath},
	ReasonEarly:        {maybeTLS, dropsClients},
	ReasonReset:        {maybeTLS, dropsClients},
	ReasonSubprotocol:  {gateway: "browsers end such a connection: --subprotocol must name one that the server chooses"},
	StatusReason(401):  {wantsToken, wantsIdentity},
	ClosedReason(4001): {wantsToken, wantsIdentity},
	StatusReason(403):  {noRight, wantsIdentity},
	ClosedReason(4003): {noRight, wantsIdentity},
	StatusReason(503):  {rejected, serverRejected},
	StatusReason(429):  {rejected, serverRejected},
	StatusReason(200):  {foreign: wrongPath},
	StatusReason(426):  {foreign: wrongPath},
}
