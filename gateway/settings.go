package gateway

import (
	"cmp"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/auth"
	"github.com/pushgate/pushgate/gateway/internal/conn"
	"github.com/pushgate/pushgate/gateway/internal/limit"
	"github.com/pushgate/pushgate/gateway/proxy"
)

// settings are a configuration and the values compiled from it. They never change: a reload makes
// new ones. Each shard swaps its own on its loop, so that reading them takes no lock.
type settings struct {
	Config
	conns       conn.Options
	maxPayload  int // of a message
	rules       rules
	origins     *auth.Origins
	verifier    *auth.Verifier
	proxyHeader proxy.Header

	handshakeRate                 limit.Rate
	messageRate, channelRate      limit.Rate // of one connection
	publishRate, totalPublishRate limit.Rate // of one connection, of all
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
	// shardDescriptors is the number of descriptors of a shard: the listener and a spare
	// descriptor, two epolls, each with an eventfd.
	shardDescriptors = 6
)

// newSettings compiles a valid configuration for a process that may open so many files. It also
// reads the key files.
func newSettings(cfg Config, files uint64, log *slog.Logger) (set *settings, err error) {
	set = &settings{Config: cfg}
	if set.rules, err = compileRules(cfg.Channels); err != nil {
		return nil, err
	}
	if set.origins, err = auth.NewOrigins(cfg.Origins); err != nil {
		return nil, err
	}
	if set.verifier, err = auth.New(cfg.Auth, message.ValidChannel, log); err != nil {
		return nil, fmt.Errorf("token keys: %w", err)
	}
	if set.conns.Trusted, err = proxy.ParseNetworks(cfg.Proxy.Trusted); err != nil {
		return nil, err
	}
	set.proxyHeader = proxy.Header(strings.ToLower(cfg.Proxy.Header))
	l := cfg.Limits
	set.maxPayload = min(l.PayloadBytes, l.TotalQueueBytes/payloadShare)
	set.conns.AcceptRate = limit.PerSecond(l.AcceptsPerSecond, l.AcceptsBurst)
	set.handshakeRate = limit.PerSecond(l.HandshakesPerSecond, l.HandshakesBurst)
	set.messageRate = limit.PerSecond(l.MessagesPerSecond, cmp.Or(l.MessagesBurst, clientBurst*l.MessagesPerSecond))
	set.channelRate = limit.PerSecond(l.NewChannelsPerSecond, channelBursts*l.ChannelsPerConnection)
	set.publishRate = limit.PerSecond(l.PublishesPerSecond, cmp.Or(l.PublishesBurst, clientBurst*l.PublishesPerSecond))
	set.totalPublishRate = limit.PerSecond(l.TotalPublishesPerSecond, 0)
	set.conns.MaxConnections = max(1, int(min(files, 1<<30))-reservedDescriptors-cfg.shards()*shardDescriptors)
	if n := l.Connections; n > 0 {
		if n > set.conns.MaxConnections {
			log.Warn("the limit on open files is below limits.connections", "connections", n, "files", files,
				"fix", "gateway doctor --target "+strconv.Itoa(n))
		}
		set.conns.MaxConnections = min(n, set.conns.MaxConnections)
	}
	set.conns.Descriptors = min(int64(files), 1<<30)
	set.conns.FirstRequest, set.conns.PerAddress = l.HeadTimeout, l.ConnectionsPerAddress
	set.conns.ProxyProtocol, set.conns.TotalQueueBytes = proxy.Protocol(cfg.Proxy.Protocol), l.TotalQueueBytes
	if cfg.Debug.Echo {
		log.Warn("clients are served " + echoPath + ", which is for development: debug.echo is on")
	}
	return set, nil
}
