package plan

import (
	"net/url"
	"slices"
	"strings"
)

// A foreign server is any server but pushgate that broadcasts publications, over
// WebSockets or event streams. Only --hello, --publish-url and
// the like tell about it: it confirms no subscription, its messages are
// those in which a stamp of the run is found, and it has no metrics.

// The placeholders of --url, --hello, --publish-url, --publish-body and
// --publish-cmd.
const (
	PlaceChannel = "{channel}"
	placeClient  = "{client}"
	PlaceMessage = "{message}"
)

// IsForeign reports whether the server is none of ours, which follows from its
// settings.
func (c Config) IsForeign() bool {
	return c.Foreign || len(c.Hello) > 0 || c.PublishURL != "" || c.PublishCmd != "" ||
		strings.Contains(c.URL, PlaceChannel) || strings.Contains(c.URL, placeClient)
}

// checkForeign refuses settings that a foreign server can't honour, or not without
// more.
func (c Config) checkForeign(u *Problems) {
	if !c.IsForeign() {
		if c.PublishBody != "" || len(c.PublishHeaders) > 0 {
			u.Add("--publish-body, --publish-header", "", "go with --publish-url")
		}
		return
	}
	if shares, err := c.Transport.shares(); err == nil {
		kinds := make(map[Transport]bool)
		for _, x := range shares {
			kinds[x.kind] = true
		}
		if kinds[Poll] {
			u.Add("--transport", c.Transport, "long-poll is a gateway's own; a foreign server is measured over ws or sse")
		}
		if len(c.Hello) > 0 && kinds[SSE] {
			u.Add("--hello", "", "an event stream has no way to say it; --transport ws has")
		}
	}
	for flag, given := range map[string]bool{"--durable": c.Durable, "--resume": c.Resume, "--admin": c.Admin != ""} {
		if given {
			u.Add(flag, "", "is for a gateway; a foreign server has no such thing that loadgen knows")
		}
	}
	c.checkPublish(u)
	c.checkPlaces(u)
}

// checkPlaces refuses channels that are not sent to the server.
func (c Config) checkPlaces(u *Problems) {
	channels, err := ParseChannels(c.Channels, max(c.Connections, 1))
	if err != nil {
		return // newPlan says so
	}
	inURL := strings.Contains(c.URL, PlaceChannel)
	inHello := slices.ContainsFunc(c.Hello, func(text string) bool { return strings.Contains(text, PlaceChannel) })
	switch {
	case inURL && channels.PerClient() > 1:
		u.Add("--channels", c.Channels, "%s in --url stands for the one channel of a client", PlaceChannel)
	case channels.Total() > 1 && !inURL && !inHello:
		u.Add("--channels", c.Channels, "how would the server know? Want %s in --hello or --url, or a single channel", PlaceChannel)
	}
	if channels.Total() > 1 && c.PublishURL != "" && !strings.Contains(c.PublishURL+c.PublishBody, PlaceChannel) {
		u.Add("--publish-url", PrintableURL(c.PublishURL), "several channels: want %s in it or in --publish-body", PlaceChannel)
	}
	if strings.Contains(c.PublishCmd, PlaceMessage) && strings.ContainsAny(c.Channels, "$~#!") {
		u.Add("--channels", c.Channels, "a channel's name stands in --publish-cmd as it is, so no $, ~, # and ! in it")
	}
}

// checkPublish refuses ways to publish that are none.
func (c Config) checkPublish(u *Problems) {
	switch {
	case c.PublishURL != "" && c.PublishCmd != "":
		u.Add("--publish-cmd", "", "--publish-url says it already; leave out one of the two")
	case c.PublishURL == "" && (c.PublishBody != "" || len(c.PublishHeaders) > 0):
		u.Add("--publish-body, --publish-header", "", "go with --publish-url")
	case strings.Contains(c.PublishCmd, PlaceChannel) && !strings.Contains(c.PublishCmd, PlaceMessage):
		u.Add("--publish-cmd", "", "%s goes with %s; without both the command reads lines of a channel, a blank and a message", PlaceChannel, PlaceMessage)
	case c.PublishURL != "" && c.PublishBody != "" && !strings.Contains(c.PublishBody+c.PublishURL, PlaceMessage):
		u.Add("--publish-body", "", "want %s where the message goes", PlaceMessage)
	}
	if c.PublishURL == "" {
		return
	}
	where, err := url.Parse(c.PublishURL)
	if err != nil || where.Hostname() == "" || where.Scheme != "http" && where.Scheme != "https" {
		u.Add("--publish-url", PrintableURL(c.PublishURL), "want a URL such as http://127.0.0.1:8080/publish/%s", PlaceChannel)
	}
	for _, field := range c.PublishHeaders {
		if name, value, ok := strings.Cut(field, ":"); !ok || !isToken(name) || strings.ContainsFunc(value, isControl) {
			u.Add("--publish-header", "", "want 'Name: value'")
		}
	}
}

// publishesSecurely reports whether --publish-url is TLS.
func (c Config) publishesSecurely() bool {
	where, err := url.Parse(c.PublishURL)
	return err == nil && where.Scheme == "https"
}

// maxForeignFrame is how much of a foreign server's message in several pieces is looked at.
const maxForeignFrame = 64 << 10

// Envelope is how much of a message in several pieces is looked at.
func (p *Plan) Envelope() int {
	if p.Foreign {
		return maxForeignFrame
	}
	return maxEnvelope
}

// maxEnvelope is how much of a message is looked at: the envelope around a
// payload has at most a channel's name and an id before it.
const maxEnvelope = 1024

// MaxMessage is the longest message a client takes.
const MaxMessage = 16 << 20
