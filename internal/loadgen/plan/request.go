package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ownFields are the fields of a request that the transports write themselves.
var ownFields = []string{"connection", "upgrade", "sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions",
	"sec-websocket-protocol", "content-length", "transfer-encoding", "te", "expect", "last-event-id", "accept", "cache-control"}

// requestFields writes the fields that every request of the run begins with:
// Host and User-Agent, unless --header says others, --header and --origin.
func (c Config) requestFields(host string, u *Problems) string {
	var all strings.Builder
	given := make(map[string]bool)
	for _, field := range c.Headers {
		name, value, ok := strings.Cut(field, ":")
		value = strings.TrimSpace(value)
		lower := strings.ToLower(name)
		switch {
		case !ok || !isToken(name):
			u.Add("--header", "", "want 'Name: value'")
			continue
		case strings.ContainsFunc(value, isControl):
			u.Add("--header", name, "line ends and control characters are not allowed in its value")
			continue
		case slices.Contains(ownFields, lower):
			u.Add("--header", name, "loadgen writes this field itself%s", map[string]string{"sec-websocket-protocol": ": --subprotocol sets it"}[lower])
			continue
		case lower == "authorization" && c.JWTKey != "":
			u.Add("--header", name, "--jwt-key gives each client one of its own; leave out one of the two")
			continue
		case lower == "origin" && c.Origin != "":
			u.Add("--header", name, "--origin says it already; leave out one of the two")
			continue
		}
		given[lower] = true
		fmt.Fprintf(&all, "%s: %s\r\n", name, value)
	}
	if c.Origin != "" {
		if strings.ContainsFunc(c.Origin, isControl) || strings.Contains(c.Origin, " ") {
			u.Add("--origin", fmt.Sprintf("%q", c.Origin), "want an origin such as https://app.example, as a browser sends it")
		}
		fmt.Fprintf(&all, "Origin: %s\r\n", c.Origin)
	}
	first := ""
	if !given["host"] {
		first = "Host: " + host + "\r\n"
	}
	if !given["user-agent"] {
		first += "User-Agent: loadgen\r\n"
	}
	return first + all.String()
}

// subprotocols reads --subprotocol.
func (c Config) subprotocols(kinds []Transport, u *Problems) (all []string) {
	if c.Subprotocol == "" {
		return nil
	}
	if !slices.Contains(kinds, WebSocket) {
		u.Add("--subprotocol", MaskSubprotocol(c.Subprotocol), "only WebSockets have one, and --transport has none")
	}
	for name := range strings.SplitSeq(c.Subprotocol, ",") {
		name = strings.TrimSpace(name)
		if !isToken(name) {
			u.Add("--subprotocol", MaskSubprotocol(c.Subprotocol), "want names such as pushgate.v1, comma separated")
			return nil
		}
		all = append(all, name)
	}
	return all
}

// isToken reports whether text is a token as RFC 9110 section 5.6.2 has it.
func isToken(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(c rune) bool {
		return c <= ' ' || c > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, c)
	})
}

func isControl(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }

// AppendGet appends the start of a GET for all of a client's channels, up to
// where more of the query or " HTTP/1.1" follows.
func (p *Plan) AppendGet(dst []byte, client uint32) []byte {
	if p.Foreign {
		return p.AppendPlaced(append(dst, "GET "...), p.path(client), client, 0, true)
	}
	dst = append(p.AppendTarget(dst, client), "channels="...)
	return p.ChannelSet.appendQuery(dst, client)
}

// AppendTarget starts a GET, up to the query.
func (p *Plan) AppendTarget(dst []byte, client uint32) []byte {
	return append(append(dst, "GET "...), p.path(client)...)
}

// AppendFields ends a request's line and starts its fields, the client's token
// among them.
func (p *Plan) AppendFields(dst []byte, client uint32) []byte {
	return p.appendToken(append(append(dst, " HTTP/1.1\r\n"...), p.headerLines...), client)
}

// AppendPlaced appends text with a client's number and the name of its k-th
// channel in their places, percent-encoded for a URL.
func (p *Plan) AppendPlaced(dst []byte, text string, client uint32, k int, escape bool) []byte {
	var name [MaxChannelName]byte
	for {
		i := strings.IndexByte(text, '{')
		if i < 0 {
			return append(dst, text...)
		}
		dst, text = append(dst, text[:i]...), text[i:]
		switch {
		case strings.HasPrefix(text, PlaceChannel):
			channel := p.ChannelSet.AppendName(name[:0], p.ChannelSet.Of(client, k))
			if escape {
				dst = AppendEscaped(dst, channel)
			} else {
				dst = append(dst, channel...)
			}
			text = text[len(PlaceChannel):]
		case strings.HasPrefix(text, placeClient):
			dst, text = strconv.AppendUint(dst, uint64(client), 10), text[len(placeClient):]
		default:
			dst, text = append(dst, '{'), text[1:]
		}
	}
}

// foreignRequest is the path of --url with its query and its placeholders; a
// foreign server has no endpoint of a transport.
func (t *Target) foreignRequest() string {
	path := t.path
	if path == "" {
		path = "/"
	}
	if t.query != "" {
		path += "?" + t.query
	}
	return strings.NewReplacer("%7B", "{", "%7D", "}").Replace(path)
}

// appendToken appends a client's token as a header field, if there are tokens
// in this run.
func (p *Plan) appendToken(dst []byte, client uint32) []byte {
	if p.minter == nil {
		return dst
	}
	// The key signed when the plan was made, and names marshal always.
	token, err := p.minter.mint(client, &p.ChannelSet, time.Now())
	if err != nil {
		return dst
	}
	dst = append(dst, "Authorization: Bearer "...)
	return append(append(dst, token...), '\r', '\n')
}
