package upstream

import (
	"context"
	"errors"
	"net"
	"testing"
)

func TestOneShotDialer(t *testing.T) {
	ctx := context.Background()
	dials := 0
	var other net.Conn
	pipe := func(context.Context, string, string) (conn net.Conn, err error) {
		dials++
		conn, other = net.Pipe()
		return conn, nil
	}
	g := &oneShotDialer{dial: pipe}
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
	g = &oneShotDialer{dial: pipe}
	g.cut()
	if _, err := g.Dial(ctx, "tcp", "x"); !errors.Is(err, errRedial) || dials != 1 {
		t.Fatalf("cut before the dial: %v, %d dials", err, dials)
	}

	// Cut while the dial is under way.
	g = new(oneShotDialer)
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
