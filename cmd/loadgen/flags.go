package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/pflag"

	"github.com/pushgate/pushgate/internal/loadgen"
)

// flags is what all subcommands take.
type flags struct {
	set    *pflag.FlagSet
	config loadgen.Config
	json   string
	// file is --scenario; replaced are the flags that --stages stands for.
	file     string
	replaced []string
	output   output
}

// newFlags declares the flags for the clients and the target.
func newFlags(name string) *flags {
	f := &flags{set: pflag.NewFlagSet("loadgen "+name, pflag.ContinueOnError), config: loadgen.DefaultConfig()}
	c, s := &f.config, f.set
	s.SortFlags = false
	s.SetOutput(io.Discard) // what is wrong is printed once, by parse
	s.Usage = func() {}
	declareTarget(s, c)
	declareForeign(s, c)
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
	f.output.declare(s)
	s.BoolP("help", "h", false, "this text")
	return f
}

// declareTarget declares the flags for reaching the gateway.
func declareTarget(s *pflag.FlagSet, c *loadgen.Config) {
	s.StringVar(&c.URL, "url", c.URL, "the gateway: ws://, wss://, http:// or https://, or unix:/path; without a path, the endpoint of the transport")
	s.StringVar(&c.CA, "ca", c.CA, "a file with the authorities in PEM that the server's certificate is checked by, instead of this host's")
	s.BoolVar(&c.Insecure, "insecure", c.Insecure, "check no certificate")
	s.StringArrayVar(&c.Headers, "header", nil, "a field of every request, 'Name: value', such as Host or Cookie; may be repeated")
	s.StringVar(&c.Origin, "origin", c.Origin, "the Origin of every request, as browsers send it")
	s.StringVar(&c.Subprotocol, "subprotocol", c.Subprotocol, "what WebSockets offer as Sec-WebSocket-Protocol, comma separated")
}

// parse reads the arguments. A false ok: the program ends with code.
func (f *flags) parse(args []string, out, errOut io.Writer) (code int, ok bool) {
	err := f.set.Parse(args)
	if help, _ := f.set.GetBool("help"); help || errors.Is(err, pflag.ErrHelp) {
		fmt.Fprintf(out, "usage: %s [flags]\n\n%s", f.set.Name(), f.set.FlagUsagesWrapped(100))
		return exitGood, false
	}
	if err == nil && f.set.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", f.set.Arg(0))
	}
	if err == nil {
		err = f.readFile()
	}
	if err == nil {
		err = errors.Join(f.checkStages(), f.config.Validate(), f.output.validate())
	}
	if err != nil {
		return wrongUse(f.set.Name(), err, errOut), false
	}
	return 0, true
}

// wrongUse prints every mistake on a line of its own.
func wrongUse(name string, err error, errOut io.Writer) int {
	for _, e := range mistakes(err) {
		fmt.Fprintf(errOut, "%s: %v\n", name, e)
	}
	return exitUsage
}

// mistakes takes joined errors apart.
func mistakes(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, mistakes(e)...)
	}
	return all
}
