package loadgen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
)

// publication is one message on its way to the server.
type publication struct {
	channel string // as the clients know it
	payload []byte
}

// publisher hands messages to the server. It is used by one goroutine and may
// block.
type publisher interface {
	// publish sends a batch in its order and returns what became of each. The
	// error is the first of them.
	publish(ctx context.Context, batch []publication) ([]fate, error)
	// via says in a word how.
	via() string
	close() error
}

// newPublisher connects to what a run publishes through, so that what is wrong
// with it is told before any client connects.
func newPublisher(ctx context.Context, c Config) (publisher, error) {
	switch {
	case c.PublishURL != "":
		return newHTTPPublisher(ctx, c)
	case c.PublishCmd != "":
		return newCommandPublisher(c)
	}
	p, err := newRedisPublisher(ctx, c)
	if err != nil {
		if usage := (*UsageError)(nil); c.IsForeign() && !errors.As(err, &usage) {
			err = fmt.Errorf("%w; a server that is not published to through Redis takes --publish-url or --publish-cmd", err)
		}
		return nil, err
	}
	return p, nil
}

// checkPublish refuses ways to publish that are none.
func (c Config) checkPublish(u *usage) {
	switch {
	case c.PublishURL != "" && c.PublishCmd != "":
		u.add("--publish-cmd", "", "--publish-url says it already; leave out one of the two")
	case c.PublishURL == "" && (c.PublishBody != "" || len(c.PublishHeaders) > 0):
		u.add("--publish-body, --publish-header", "", "go with --publish-url")
	case strings.Contains(c.PublishCmd, placeChannel) && !strings.Contains(c.PublishCmd, placeMessage):
		u.add("--publish-cmd", "", "%s goes with %s; without both the command reads lines of a channel, a blank and a message", placeChannel, placeMessage)
	case c.PublishURL != "" && c.PublishBody != "" && !strings.Contains(c.PublishBody+c.PublishURL, placeMessage):
		u.add("--publish-body", "", "want %s where the message goes", placeMessage)
	}
	if c.PublishURL == "" {
		return
	}
	where, err := url.Parse(c.PublishURL)
	if err != nil || where.Hostname() == "" || where.Scheme != "http" && where.Scheme != "https" {
		u.add("--publish-url", printableURL(c.PublishURL), "want a URL such as http://127.0.0.1:8080/publish/%s", placeChannel)
	}
	for _, field := range c.PublishHeaders {
		if name, value, ok := strings.Cut(field, ":"); !ok || !isToken(name) || strings.ContainsFunc(value, isControl) {
			u.add("--publish-header", "", "want 'Name: value'")
		}
	}
}

// publishesSecurely reports whether --publish-url is TLS.
func (c Config) publishesSecurely() bool {
	where, err := url.Parse(c.PublishURL)
	return err == nil && where.Scheme == "https"
}

// onThisHost is a net.Dialer's Control that keeps a run from loading other
// machines, also those that a server names; nil with --allow-remote.
func onThisHost(remote bool) func(network, address string, c syscall.RawConn) error {
	if remote {
		return nil
	}
	return func(_, address string, _ syscall.RawConn) error {
		if a, err := netip.ParseAddrPort(address); err == nil && !a.Addr().Unmap().IsLoopback() {
			return errors.New(notThisHost(a.Addr()))
		}
		return nil
	}
}

// errDial marks what kept a connection from coming about, so that nothing was
// sent.
var errDial = errors.New("connect")

// dialing has the errors of a dialer marked.
func dialing(connect func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := connect(ctx, network, addr)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errDial, err)
		}
		return conn, nil
	}
}
