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
	pipe := func(context.Context, string, string) (conn net.Conn, err error) {
		dials++
		conn, other = net.Pipe()
		return conn, nil
	}
	g := &gate{dial: pipe}
	conn, err := g.Dial(ctx, "tcp", "x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Dial(ctx, "tcp", "x"); !errors.Is(err, errRedial) || dials != 1 {
		t.Fatalf("the second: %v, %d dials", err, dials)
	}
	g.cut()
	if _, err := conn.Write([]byte("x")); err == nil {
		t.Error("a connection that was cut still writes")
	}
	_ = other.Close()

	// Cut before there is one.
	g = &gate{dial: pipe}
	g.cut()
	if _, err := g.Dial(ctx, "tcp", "x"); !errors.Is(err, errRedial) || dials != 1 {
		t.Fatalf("cut before the dial: %v, %d dials", err, dials)
	}

	// Cut while the dial is under way.
	g = new(gate)
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
