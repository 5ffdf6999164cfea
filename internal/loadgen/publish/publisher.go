// Package publish sends a run's messages to the server: through Redis as a backend
// does, or to a foreign server by HTTP or a command.
package publish

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"github.com/pushgate/pushgate/internal/loadgen/plan"
)

// Message is one message on its way to the server.
type Message struct {
	Channel string // as the clients know it
	Payload []byte
}

// Publisher hands messages to the server. It is used by one goroutine and may
// block.
type Publisher interface {
	// Publish sends a batch in its order and returns the result of each. The
	// error is the first of them.
	Publish(ctx context.Context, batch []Message) ([]Result, error)
	// via says in a word how.
	Via() string
	Close() error
}

// New connects to the run's way to publish, so that mistakes in it are reported before any
// client connects.
func New(ctx context.Context, c plan.Config) (Publisher, error) {
	switch {
	case c.PublishURL != "":
		return newHTTPPublisher(ctx, c)
	case c.PublishCmd != "":
		return newCommand(c)
	}
	p, err := newRedisPublisher(ctx, c)
	if err != nil {
		if usage := (*plan.UsageError)(nil); c.IsForeign() && !errors.As(err, &usage) {
			err = fmt.Errorf("%w; a server that is not published to through Redis takes --publish-url or --publish-cmd", err)
		}
		return nil, err
	}
	return p, nil
}

// oneByOne publishes messages one after the other, which keeps their order, and stops at the
// first that is not taken: those behind it are not sent.
func oneByOne(batch []Message, publish func(Message) (Result, error)) (results []Result, err error) {
	for _, m := range batch {
		r := Unsent
		if err == nil {
			r, err = publish(m)
		}
		results = append(results, r)
	}
	return results, err
}

// loopbackOnly is a net.Dialer's Control that keeps a run from loading other machines, also the
// ones that a server names; nil with --allow-remote.
func loopbackOnly(remote bool) func(network, address string, c syscall.RawConn) error {
	if remote {
		return nil
	}
	return func(_, address string, _ syscall.RawConn) error {
		if a, err := netip.ParseAddrPort(address); err == nil && !a.Addr().Unmap().IsLoopback() {
			return errors.New(plan.NotThisHost(a.Addr()))
		}
		return nil
	}
}

// errDial marks the error of a connect, after which nothing was
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

// Result is the outcome of publishing a message.
type Result uint8

const (
	Taken   Result = iota // Redis has it
	Unheard               // it has, and there was no subscriber
	Refused               // it answered with an error
	Unsent                // it was never written
	Unknown               // it was written, without an answer
)

// PublishBatch is the most messages of one call of publish.
const PublishBatch = 64
