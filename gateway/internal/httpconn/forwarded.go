package httpconn

import (
	"net/netip"
	"strings"

	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/gateway/proxy"
)

// forwarded sets the client's address from the request in h.request, if a trusted proxy sent it. It
// reports whether the address may have one more connection, and has refused the request if not. A
// proxy may send requests of many clients over one connection, which then counts for the last of
// them.
func (h *router) forwarded(i uint32, to *Route) bool {
	if !h.server.conns.Addrs.Trusted(i) {
		return true
	}
	var values []string
	header := string(h.server.options.ProxyHeader)
	for f := h.server.request.Fields(); ; {
		name, value, ok := f.Next()
		if !ok {
			break
		}
		if len(name) == len(header) && strings.EqualFold(string(name), header) {
			values = append(values, string(value))
		}
	}
	client := h.server.options.Trusted.Client(h.server.options.ProxyHeader, values)
	if !client.IsValid() {
		h.logNameless(i, to)
		return true
	}
	if h.server.conns.Addrs.Set(i, netip.AddrPortFrom(client, 0)) {
		return true
	}
	h.server.Refuse.Over(i, reasons.RejectAddress)
	return false
}

// logNameless logs a trusted proxy that names no client: its clients escape the limits by address.
// A health check of the proxy is its own request.
func (h *router) logNameless(i uint32, to *Route) {
	if to != nil && to.health || h.server.options.ProxyProtocol != proxy.Off {
		return
	}
	from := h.server.conns.Addrs.Of(i).Addr()
	if isNew, _ := h.server.shared.nameless.IsNew(from.String()); isNew {
		h.server.log.Warn("a trusted proxy names no client: its clients escape the limits by address", "proxy", from, "header", h.server.options.ProxyHeader,
			"key", "proxy.header", "fix", "set proxy.header to the header that the proxy sends, or remove the proxy from proxy.trusted")
	}
}
