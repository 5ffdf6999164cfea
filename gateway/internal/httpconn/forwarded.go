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
func (h *Server) forwarded(i uint32, to *Route) bool {
	if !h.conns.Addrs.Trusted(i) {
		return true
	}
	var values []string
	header := string(h.options.ProxyHeader)
	for f := h.request.Fields(); ; {
		name, value, ok := f.Next()
		if !ok {
			break
		}
		if len(name) == len(header) && strings.EqualFold(string(name), header) {
			values = append(values, string(value))
		}
	}
	client := h.options.Trusted.Client(h.options.ProxyHeader, values)
	if !client.IsValid() {
		h.tellNameless(i, to)
		return true
	}
	if h.conns.Addrs.Set(i, netip.AddrPortFrom(client, 0)) {
		return true
	}
	h.Refuse.Over(i, reasons.RejectAddress)
	return false
}

// tellNameless logs a trusted proxy that names no client: its clients escape the limits by address.
// A health check of the proxy is its own request.
func (h *Server) tellNameless(i uint32, to *Route) {
	if to != nil && to.health || h.options.ProxyProtocol != proxy.Off {
		return
	}
	from := h.conns.Addrs.Of(i).Addr()
	if isNew, _ := h.shared.nameless.IsNew(from.String()); isNew {
		h.log.Warn("a trusted proxy names no client: its clients escape the limits by address", "proxy", from, "header", h.options.ProxyHeader,
			"key", "proxy.header", "fix", "set proxy.header to the header that the proxy sends, or take it out of proxy.trusted")
	}
}
