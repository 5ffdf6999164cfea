package fanout

import (
	"context"
	"errors"
	"net"
	"strconv"
	"testing"
)

func TestGate(t *testing.T) {
	ctx := context.Background()
	dials := 0
	var other net.Conn
	g := &gate{}
	g.dial = func(context.Context, string, string) (conn net.Conn, err error) {
		dials++
		conn, other = net.Pipe()
		return conn, nil
	}
	if _, err := g.Dial(ctx, "tcp", "x"); !errors.Is(err, errRedial) {
		t.Fatalf("before it was opened: %v", err)
	}
	g.allow()
	conn, err := g.Dial(ctx, "tcp", "x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Dial(ctx, "tcp", "x"); !errors.Is(err, errRedial) || dials != 1 {
		t.Fatalf("the second of one opening: %v, %d dials", err, dials)
	}
	g.cut()
	if _, err := conn.Write([]byte("x")); err == nil {
		t.Error("a connection that was cut still writes")
	}
	_ = other.Close()

	// Cut while the dial is under way.
	g.allow()
	g.dial = func(context.Context, string, string) (net.Conn, error) {
		conn, other = net.Pipe()
		g.cut()
		return conn, nil
	}
	if _, err := g.Dial(ctx, "tcp", "x"); !errors.Is(err, errRedial) {
		t.Fatalf("cut during the dial: %v", err)
	}
	if _, err := other.Read(make([]byte, 1)); err == nil {
		t.Error("the connection was left open")
	}
	_ = other.Close()
}

// A lost connection is made again once, and go-redis makes none of its own.
func TestLostConnectionIsMadeOnce(t *testing.T) {
	server := startRedis(t)
	c := testConfig(server.url())
	c.Connections = 1
	b := runBroker(t, c)
	r := newRecorder()
	for i := range 2000 {
		join(b, strconv.Itoa(i), r)
	}
	eventually(t, "all are joined", func() bool { return b.Stats().Links[0].Pending == 0 })
	waitReady(t, b)
	sent, seen := b.Stats().Subscribes, server.calls("subscribe")
	server.do("CLIENT", "KILL", "TYPE", "pubsub")
	eventually(t, "the connection is made again", func() bool { return b.Stats().Reconnects == 1 && b.Ready() == nil })
	ours := int(b.Stats().Subscribes-sent) + 1 // and the one of the probe
	if got := server.calls("subscribe") - seen; got != ours {
		t.Errorf("the server has seen %d SUBSCRIBE commands, the link sent %d", got, ours)
	}
}
