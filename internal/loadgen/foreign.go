package loadgen

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/gobwas/ws"

	"github.com/pushgate/pushgate/internal/wsframe"
)

// A foreign server is any server but pushgate that broadcasts publications, over
// WebSockets or event streams. All that is known of it is what --hello,
// --publish-url and the like say: it confirms no subscription, its messages are
// those in which a stamp of the run is found, and it has no metrics.

// The placeholders of --url, --hello, --publish-url, --publish-body and
// --publish-cmd.
const (
	placeChannel = "{channel}"
	placeClient  = "{client}"
	placeMessage = "{message}"
)

// IsForeign reports whether the server is none of ours, which follows from what is
// said of it.
func (c Config) IsForeign() bool {
	return c.Foreign || len(c.Hello) > 0 || c.PublishURL != "" || c.PublishCmd != "" ||
		strings.Contains(c.URL, placeChannel) || strings.Contains(c.URL, placeClient)
}

// checkForeign refuses what can't be asked of a foreign server, or not without
// more.
func (c Config) checkForeign(u *usage) {
	if !c.IsForeign() {
		if c.PublishBody != "" || len(c.PublishHeaders) > 0 {
			u.add("--publish-body, --publish-header", "", "go with --publish-url")
		}
		return
	}
	if shares, err := c.Transport.shares(); err == nil {
		kinds := make(map[Transport]bool)
		for _, x := range shares {
			kinds[x.kind] = true
		}
		if kinds[Poll] {
			u.add("--transport", c.Transport, "long-poll is a gateway's own; a foreign server is measured over ws or sse")
		}
		if len(c.Hello) > 0 && kinds[SSE] {
			u.add("--hello", "", "an event stream has no way to say it; --transport ws has")
		}
	}
	for flag, given := range map[string]bool{"--durable": c.Durable, "--resume": c.Resume, "--admin": c.Admin != ""} {
		if given {
			u.add(flag, "", "is for a gateway; a foreign server has no such thing that loadgen knows")
		}
	}
	c.checkPublish(u)
	c.checkPlaces(u)
}

// checkPlaces refuses channels that the server is not told of.
func (c Config) checkPlaces(u *usage) {
	channels, err := ParseChannels(c.Channels, max(c.Connections, 1))
	if err != nil {
		return // newPlan says so
	}
	inURL := strings.Contains(c.URL, placeChannel)
	inHello := slices.ContainsFunc(c.Hello, func(text string) bool { return strings.Contains(text, placeChannel) })
	switch {
	case inURL && channels.PerClient() > 1:
		u.add("--channels", c.Channels, "%s in --url stands for the one channel of a client", placeChannel)
	case channels.Total() > 1 && !inURL && !inHello:
		u.add("--channels", c.Channels, "how would the server know? Want %s in --hello or --url, or a single channel", placeChannel)
	}
	if channels.Total() > 1 && c.PublishURL != "" && !strings.Contains(c.PublishURL+c.PublishBody, placeChannel) {
		u.add("--publish-url", printableURL(c.PublishURL), "several channels: want %s in it or in --publish-body", placeChannel)
	}
	if strings.Contains(c.PublishCmd, placeMessage) && strings.ContainsAny(c.Channels, "$~#!") {
		u.add("--channels", c.Channels, "a channel's name stands in --publish-cmd as it is, so no $, ~, # and ! in it")
	}
}

// appendPlaced appends text with a client's number and the name of its k-th
// channel in their places, percent-encoded for a URL.
func (p *plan) appendPlaced(dst []byte, text string, client uint32, k int, escape bool) []byte {
	var name [maxChannelName]byte
	for {
		i := strings.IndexByte(text, '{')
		if i < 0 {
			return append(dst, text...)
		}
		dst, text = append(dst, text[:i]...), text[i:]
		switch {
		case strings.HasPrefix(text, placeChannel):
			channel := p.channels.AppendName(name[:0], p.channels.Of(client, k))
			if escape {
				dst = appendEscaped(dst, channel)
			} else {
				dst = append(dst, channel...)
			}
			text = text[len(placeChannel):]
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

// greet subscribes a client of a foreign server, whose handshake is done. False:
// the client is gone.
func (l *loop) greet(slot uint32) bool {
	p := l.plan
	i := l.number(slot)
	var text []byte
	for _, hello := range p.Hello {
		times := 1
		if strings.Contains(hello, placeChannel) {
			times = p.channels.PerClient()
		}
		for k := range times {
			text = p.appendPlaced(text[:0], hello, i, k, false)
			if !l.send(slot, wsframe.AppendMasked(l.out[:0], ws.OpText, text, mask())) {
				return false
			}
		}
	}
	l.confirmed(slot, p.channels.PerClient())
	return true
}

// foreignMessage takes what a foreign server sends, in which there may be
// messages of the run, whatever is around them.
func (l *loop) foreignMessage(slot uint32, p []byte) {
	for n := 0; ; n++ {
		s, rest, r := findForeignStamp(p, l.plan.run)
		switch r {
		case stampNone:
			if n == 0 {
				l.counters.Other++
			}
			return
		case stampBad:
			l.counters.Damaged++
		default:
			l.book(slot, s, nil)
		}
		p = rest
	}
}

// A message for a foreign server is a word that needs no escaping wherever it
// may be put, in JSON, a URL or a shell:
//
//	1f2e3d4c.AAAAEQAAACoYCoc3cxdLhxgKhzdzGEqvxx
const foreignDot = '.'

// minForeign is the length of one without padding.
const minForeign = runLength + 1 + stampText

// appendForeignPayload appends one of size bytes, at least minForeign.
func appendForeignPayload(dst []byte, run string, s Stamp, size int) []byte {
	dst = append(append(dst, run...), foreignDot)
	dst = s.appendText(dst)
	return append(dst, bytes.Repeat([]byte("x"), max(size-minForeign, 0))...)
}

// findForeignStamp returns the first stamp in p, wherever it is, and the rest of
// p behind it.
func findForeignStamp(p []byte, run string) (s Stamp, rest []byte, r stampResult) {
	for {
		i := bytes.Index(p, []byte(run))
		if i < 0 {
			return Stamp{}, nil, stampNone
		}
		if p = p[i+len(run):]; len(p) > 0 && p[0] == foreignDot {
			break
		}
	}
	p = p[1:]
	if len(p) < stampText {
		return Stamp{}, nil, stampBad
	}
	if s, ok := readStamp(p[:stampText]); ok {
		return s, p[stampText:], stampFound
	}
	return Stamp{}, p, stampBad
}

// maxForeignFrame is how much of a foreign server's message is looked at when it
// comes in pieces.
const maxForeignFrame = 64 << 10

// envelope is how much of a message that comes in pieces is looked at.
func (p *plan) envelope() int {
	if p.Foreign {
		return maxForeignFrame
	}
	return maxEnvelope
}

// unmeasured are the figures that a foreign server has not, and why.
var unmeasured = []struct {
	figures []string
	why     string
}{
	{[]string{"ready", "storm_ready", "churn_ready"}, "it confirms no subscription in a way that loadgen knows"},
	{[]string{"heap_per_conn"}, "it has no metrics that loadgen knows"},
	{[]string{"gaps", "errors", "replayed"}, "it tells of none in a way that loadgen knows"},
}

// notMeasured lists them for a result.
func notMeasured() (all []string) {
	for _, x := range unmeasured {
		text := x.figures[0] + ": " + x.why
		if others := x.figures[1:]; len(others) > 0 {
			text += "; nor " + strings.Join(others, ", ")
		}
		all = append(all, text)
	}
	return all
}

// told reports whether the server tells what a figure needs.
func (r *Result) told(figure string) bool {
	if !r.Settings.Foreign {
		return true
	}
	name, _, _ := strings.Cut(figure, ".")
	for _, x := range unmeasured {
		if slices.Contains(x.figures, name) {
			return false
		}
	}
	return true
}

// foreignHint says what a reason means where the server is none of ours; false
// where it means the same.
func (r Reason) foreignHint() (hint string, ok bool) {
	switch r.bare() {
	case ReasonRefused:
		return "nothing listens there: is the server running, is --url right?", true
	case ReasonUpgrade, ReasonAccept, ReasonContentType, statusReason(200), statusReason(400), statusReason(404), statusReason(405), statusReason(426):
		return "the server takes no such clients on that path: are --url and --transport right?", true
	case ReasonEarly, ReasonReset:
		return "that port may speak TLS (wss://), or not where --url says so, or the server drops such clients: are --url and --hello right?", true
	case statusReason(401), statusReason(403), closedReason(4001), closedReason(4003):
		return "the server wants to know its clients: --header, --subprotocol or --hello tell it", true
	case statusReason(429), statusReason(503):
		return "the server turns clients away: see its limits and its log", true
	}
	return "", false
}
