package main

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/centrifugal/centrifuge"

	"github.com/pushgate/pushgate/bench/client"
)

// centrifugeName is the server's in the table and on the command line.
const centrifugeName = "centrifuge"

// connectCommand begins a connection of its JSON protocol.
const connectCommand = `{"id":1,"connect":{}}`

var centrifugeEventsPath = "/?cf_connect=" + url.QueryEscape(connectCommand)

// centrifugeSpeech: a client sends the command, and is subscribed by the
// server. Pings are empty objects, not WebSocket frames.
func centrifugeSpeech(t transport) client.Speech {
	s := client.Speech{Joined: `{"id":1,"connect":`, Ping: "{}", Lines: true, Number: numberMark}
	if t != eventsTransport {
		s.Hello = connectCommand
	}
	return s
}

type centrifugeServer struct {
	node    *centrifuge.Node
	handler http.Handler
}

// newCentrifuge configures the library as it recommends for many idle clients.
// Over SSE nobody answers pings: that would be a request of its own.
func newCentrifuge(t transport, interval time.Duration) (made, error) {
	node, err := centrifuge.New(centrifuge.Config{})
	if err != nil {
		return nil, err
	}
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		return centrifuge.ConnectReply{
			Credentials:   &centrifuge.Credentials{},
			Subscriptions: map[string]centrifuge.SubscribeOptions{channel: {}},
		}, nil
	})
	pings := centrifuge.PingPongConfig{PingInterval: interval, PongTimeout: interval * 3 / 4}
	s := &centrifugeServer{node: node}
	if t == eventsTransport {
		pings.PongTimeout = -1
		s.handler = centrifuge.NewSSEHandler(node, centrifuge.SSEConfig{PingPongConfig: pings})
	} else {
		s.handler = centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{
			UseWriteBufferPool: true, ProcessCommandsOffReadLoop: true, PingPongConfig: pings,
		})
	}
	return s, node.Run()
}

func (s *centrifugeServer) serve(l net.Listener) error { return http.Serve(l, s.handler) }

func (s *centrifugeServer) publish(text []byte) error {
	_, err := s.node.Publish(channel, text)
	return err
}
