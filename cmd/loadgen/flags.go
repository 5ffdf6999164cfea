package main

import (
	"strings"

	"github.com/spf13/pflag"

	"github.com/pushgate/pushgate/internal/loadgen/plan"
)

// runFlags are the flags of a scenario.
type runFlags struct {
	set    *pflag.FlagSet
	config plan.Config

	json  string   // file of the result
	dir   string   // directory of the run
	slos  []string // limits for the figures
	abort bool     // end with the first one that is missed

	scenario string   // file with more flags
	replaced []string // flags that --stages replaces
}

// declareClients declares the flags that every scenario takes.
func (f *runFlags) declareClients() {
	c, s := &f.config, f.set
	declareTarget(s, c)
	s.StringVar((*string)(&c.Transport), "transport", string(c.Transport), "ws, sse or poll, or shares of them such as ws:70,sse:20,poll:10")
	countVar(s, &c.Connections, "connections", "n", "clients")
	countVar(s, &c.InFlight, "concurrency", "c", "handshakes at the same time")
	s.StringVar(&c.Sources, "src", c.Sources, "source addresses: list, ranges (127.0.0.2-127.0.0.9), prefixes (127.1.0.0/28); default: as many of 127.0.0.x as it takes, for a loopback target")
	s.StringVar(&c.Channels, "channels", c.Channels, "channels of each client, comma separated; room.%d{1000} spreads the clients over 1000 rooms, user.%i is one for each client")
	countVar(s, &c.Loops, "loops", "", "event loops, for a host with CPUs to spare")
	s.DurationVar(&c.Timeout, "timeout", c.Timeout, "longest handshake, and longest wait while nothing arrives")
	countVar(s, &c.Agents, "agents", "", "hold the clients in so many processes of their own, each with its own descriptors; 0: in this one")
	s.StringArrayVar(&c.AgentCommands, "agent", nil, "hold a share of them elsewhere: a command that runs \"loadgen agent\" there, such as 'ssh host loadgen agent'; may be repeated")
	s.IntVar(&c.PID, "pid", c.PID, "the server's process (default: found by the port)")
	s.StringVar(&c.JWTKey, "jwt-key", "", "a file with the gateway's secret or a private key in PEM: each client brings a token for user-NUMBER and its channels")
	s.StringVar(&c.JWTIssuer, "jwt-issuer", "", "the tokens' iss")
	s.StringVar(&c.JWTAudience, "jwt-audience", "", "the tokens' aud")
	s.StringVar(&c.Admin, "admin", c.Admin, "the gateway's admin listener, such as 127.0.0.1:8081: its heap and metrics come into the series")
	s.BoolVar(&c.AllowRemote, "allow-remote", c.AllowRemote, "allow targets that are not on this host")
	s.StringVar(&f.json, "json", "", "write the result as JSON to this file; - for stdout, instead of the table")
	s.StringArrayVar(&f.slos, "slo", nil, "a limit such as 'delivery.p99<200ms', 'missing==0', 'rss_per_conn<600B'; may be repeated; \"loadgen figures\" lists the names")
	s.BoolVar(&f.abort, "abort-on-slo", false, "end the run with the first SLO that is missed for good")
	s.StringVar(&f.dir, "out", "", "write run.json, series.csv, latency.hlog and report.html to this new directory")
}

// declareTarget declares the flags for reaching a gateway, or a server that is no
// pushgate.
func declareTarget(s *pflag.FlagSet, c *plan.Config) {
	s.StringVar(&c.URL, "url", c.URL, "the gateway: ws://, wss://, http:// or https://, or unix:/path; without a path, the endpoint of the transport")
	s.StringVar(&c.CA, "ca", c.CA, "a file with the authorities in PEM that the server's certificate is checked by, instead of this host's")
	s.BoolVar(&c.Insecure, "insecure", c.Insecure, "check no certificate")
	s.StringArrayVar(&c.Headers, "header", nil, "a field of every request, 'Name: value', such as Host or Cookie; may be repeated")
	s.StringVar(&c.Origin, "origin", c.Origin, "the Origin of every request, as browsers send it")
	s.StringVar(&c.Subprotocol, "subprotocol", c.Subprotocol, "the Sec-WebSocket-Protocol that WebSockets offer, comma separated")
	s.BoolVar(&c.Foreign, "foreign", c.Foreign, "the server is no pushgate, but any that broadcasts over WebSockets or event streams; follows from --hello, --publish-url and --publish-cmd")
	s.StringArrayVar(&c.Hello, "hello", nil, "the message with which each client of such a server subscribes after the handshake, once for each of its channels if it has {channel} in it; {client} is its number; may be repeated")
}

// declareForeignPublish declares the flags for publishing to such a server.
func declareForeignPublish(s *pflag.FlagSet, c *plan.Config) {
	s.StringVar(&c.PublishURL, "publish-url", c.PublishURL, "publish by POST to this URL, with {channel} in it where the channel goes")
	s.StringArrayVar(&c.PublishHeaders, "publish-header", nil, "a field of these requests, 'Name: value'; may be repeated")
	s.StringVar(&c.PublishBody, "publish-body", c.PublishBody, "their body, with {channel} and {message} in it, a word of letters, digits, '.', '-' and '_' (default: the message)")
	s.StringVar(&c.PublishCmd, "publish-cmd", c.PublishCmd, "publish by a command that reads lines \"CHANNEL MESSAGE\"; or, with {message} and {channel} in it, by running it for each message")
}

// declarePublishing declares the pace of connects, and the messages and their Redis.
func (f *runFlags) declarePublishing() {
	c := &f.config
	rateVar(f.set, &c.ConnectRate, "connect-rate", "connects per second; 0: as many as -c lets")
	f.set.StringVar(&c.Redis, "redis", c.Redis, "the gateway's redis.url: a server, redis+cluster:// or redis+sentinel://")
	f.set.StringVar(&c.Prefix, "prefix", c.Prefix, "the gateway's redis.prefix")
	declareForeignPublish(f.set, c)
	f.set.BoolVar(&c.Durable, "durable", c.Durable, "publish durable messages")
	sizeVar(f.set, &c.Size, "size", "bytes of a payload")
}

// declareRate declares the rate of messages for as long as a scenario lasts.
func (f *runFlags) declareRate() {
	rateVar(f.set, &f.config.Rate, "rate", "messages per second, over all channels in turn; 0: none, and no Redis is needed")
}

func (f *runFlags) declareChurn() {
	f.set.Float64Var(&f.config.Share, "share", f.config.Share, "the part of the clients that is closed and opened again, in turn; messages are accounted for with the others")
	rateVar(f.set, &f.config.ChurnRate, "churn-rate", "clients closed and opened again per second")
}

func (f *runFlags) declareSlow() {
	f.set.Float64Var(&f.config.SlowShare, "slow-share", f.config.SlowShare, "the part of the clients that reads too little")
	sizeVar(f.set, &f.config.SlowRead, "slow-read", "bytes per second that each of them reads; 0: none")
}

func (f *runFlags) declareDuration(about string) {
	f.set.DurationVar(&f.config.Duration, "duration", f.config.Duration, about)
}

// declareStages declares --stages, which replaces other flags.
func (f *runFlags) declareStages(instead ...string) {
	f.set.StringVar(&f.config.Stages, "stages", "", "the clients over time, such as '0->10k@500/s, hold 60s, ->0@1k/s'; instead of --"+strings.Join(instead, ", --"))
	f.replaced = instead
}
