package main

import (
	"github.com/spf13/pflag"

	"github.com/pushgate/pushgate/internal/loadgen"
)

// declareForeign declares the flags for clients of a server that is no pushgate.
func declareForeign(s *pflag.FlagSet, c *loadgen.Config) {
	s.BoolVar(&c.Foreign, "foreign", c.Foreign, "the server is no pushgate, but any that broadcasts over WebSockets or event streams; follows from --hello, --publish-url and --publish-cmd")
	s.StringArrayVar(&c.Hello, "hello", nil, "what each client of such a server says after the handshake to subscribe, once for each of its channels if it has {channel} in it; {client} is its number; may be repeated")
}

// declarePublish declares the flags for publishing to such a server.
func declarePublish(s *pflag.FlagSet, c *loadgen.Config) {
	s.StringVar(&c.PublishURL, "publish-url", c.PublishURL, "publish by POST to this URL, with {channel} in it where the channel goes")
	s.StringArrayVar(&c.PublishHeaders, "publish-header", nil, "a field of these requests, 'Name: value'; may be repeated")
	s.StringVar(&c.PublishBody, "publish-body", c.PublishBody, "their body, with {channel} and {message} in it, a word of letters, digits, '.', '-' and '_' (default: the message)")
	s.StringVar(&c.PublishCmd, "publish-cmd", c.PublishCmd, "publish by a command that reads lines \"CHANNEL MESSAGE\"; or, with {message} and {channel} in it, by running it for each message")
}
