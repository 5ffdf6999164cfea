package gateway

import (
	"cmp"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/auth"
	"github.com/pushgate/pushgate/gateway/internal/client"
	"github.com/pushgate/pushgate/gateway/internal/conn"
	"github.com/pushgate/pushgate/gateway/internal/httpconn"
	"github.com/pushgate/pushgate/gateway/internal/limit"
	"github.com/pushgate/pushgate/gateway/internal/protocol/echo"
	"github.com/pushgate/pushgate/gateway/proxy"
)

// settings are a configuration and the values compiled from it. They never change: a reload makes
// new ones. Each shard swaps its own on its loop, so that reading them takes no lock.
type settings struct {
	Config
	conns   conn.Options
	http    httpconn.Options
	clients client.Options
	rates   limit.ClientRates // of one client
}

// payloadShare is the divisor of limits.total_queue_bytes for one message, so that a few of them at
// once don't close any client.
const payloadShare = 8

const (
	// clientBurst is the default burst of a client, in seconds' worth: an app that starts requests
	// everything it shows.
	clientBurst = 10
	// channelBursts is the burst of new channels of a client, in multiples of
	// limits.channels_per_connection.
	channelBursts = 4

	// reservedDescriptors are kept for Redis, the log, the admin listener and its clients, and
	// rejected clients.
	reservedDescriptors = 54
	// shardDescriptors is the number of descriptors of a shard: two listeners, each with a spare
	// descriptor, two epolls, each with an eventfd.
	shardDescriptors = 8
)

// newSettings compiles a valid configuration for a process that may open so many files. It also
// reads the key files.
func newSettings(cfg Config, files uint64, log *slog.Logger) (set *settings, err error) {
	set = &settings{Config: cfg}
	rules, err := compileRules(cfg.Channels)
	if err != nil {
		return nil, err
	}
	origins, err := auth.NewOrigins(cfg.Origins)
	if err != nil {
		return nil, err
	}
	verifier, err := auth.New(cfg.Auth, message.ValidChannel, log)
	if err != nil {
		return nil, fmt.Errorf("token keys: %w", err)
	}
	trusted, err := proxy.ParseNetworks(cfg.Proxy.Trusted)
	if err != nil {
		return nil, err
	}
	l := cfg.Limits
	set.rates = limit.ClientRates{
		Messages:  limit.PerSecond(l.MessagesPerSecond, cmp.Or(l.MessagesBurst, clientBurst*l.MessagesPerSecond)),
		Channels:  limit.PerSecond(l.NewChannelsPerSecond, channelBursts*l.ChannelsPerConnection),
		Publishes: limit.PerSecond(l.PublishesPerSecond, cmp.Or(l.PublishesBurst, clientBurst*l.PublishesPerSecond)),
	}
	set.conns = conn.Options{
		MaxConnections:  max(1, int(min(files, 1<<30))-reservedDescriptors-cfg.shards()*shardDescriptors),
		Descriptors:     min(int64(files), 1<<30),
		AcceptRate:      limit.PerSecond(l.AcceptsPerSecond, l.AcceptsBurst),
		FirstRequest:    l.HeadTimeout,
		PerAddress:      l.ConnectionsPerAddress,
		Trusted:         trusted,
		ProxyProtocol:   proxy.Protocol(cfg.Proxy.Protocol),
		TotalQueueBytes: l.TotalQueueBytes,
		TotalInputBytes: l.TotalInputBytes,
		Handshakes:      cfg.TLS.Handshakes,
	}
	if n := l.Connections; n > 0 {
		if n > set.conns.MaxConnections {
			log.Warn("the limit on open files is below limits.connections", "connections", n, "files", files,
				"fix", "gateway doctor --target "+strconv.Itoa(n))
		}
		set.conns.MaxConnections = min(n, set.conns.MaxConnections)
	}
	set.http = httpconn.Options{
		HeadBytes:     l.HeadBytes,
		BodyBytes:     l.MessageBytes,
		HeadTimeout:   l.HeadTimeout,
		IdleTimeout:   l.IdleTimeout,
		Reconnect:     cfg.Drain.Reconnect,
		Origins:       origins,
		Trusted:       trusted,
		ProxyHeader:   proxy.Header(strings.ToLower(cfg.Proxy.Header)),
		ProxyProtocol: proxy.Protocol(cfg.Proxy.Protocol),
		HandshakeRate: limit.PerSecond(l.HandshakesPerSecond, l.HandshakesBurst),
	}
	set.clients = client.Options{
		Verifier:              verifier,
		Open:                  cfg.Auth.Mode == auth.ModeNone,
		Rules:                 rules,
		ChannelsPerConnection: l.ChannelsPerConnection,
		TotalSubscriptions:    l.TotalSubscriptions,
		TotalChannels:         l.TotalChannels,
		QueueBytes:            l.QueueBytes,
		MessageBytes:          l.MessageBytes,
		PayloadBytes:          min(l.PayloadBytes, l.TotalQueueBytes/payloadShare),
		TotalInputBytes:       l.TotalInputBytes,
		TotalPublishRate:      limit.PerSecond(l.TotalPublishesPerSecond, 0),
		HeartbeatInterval:     cfg.Heartbeat.Interval,
		HeartbeatTimeout:      cfg.Heartbeat.Timeout,
		TokenTimeout:          l.HeadTimeout,
		Subprotocols:          cfg.WebSocket.Subprotocols,
		MaxAge:                cfg.Drain.MaxAge,
		Reconnect:             cfg.Drain.Reconnect,
	}
	if cfg.Debug.Echo {
		log.Warn("clients are served " + echo.Path + ", which is for development: debug.echo is on")
	}
	return set, nil
}
