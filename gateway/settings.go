package gateway

import (
	"cmp"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/auth"
	"github.com/pushgate/pushgate/gateway/internal/limit"
	"github.com/pushgate/pushgate/gateway/proxy"
)

// settings are a configuration and what is made of it. They never change: a
// reload makes new ones. Each shard holds the ones that it works by and swaps
// them on its own loop, so that reading them takes no lock.
type settings struct {
	Config
	maxConnections int
	maxPayload     int   // of a message
	files          int64 // descriptors that the process may have
	rules          rules
	origins        *auth.Origins
	verifier       *auth.Verifier
	trusted        proxy.Networks
	proxyHeader    proxy.Header

	acceptRate, handshakeRate     limit.Rate
	messageRate, channelRate      limit.Rate // of one connection
	publishRate, totalPublishRate limit.Rate // of one connection, of all
}

// payloadShare is the part of limits.total_queue_bytes that one message may have, so
// that a few of them at once end nobody.
const payloadShare = 8

const (
	// clientBurst is for how many seconds' worth a client may send at once, where
	// no burst is set: an app that starts asks for all that it shows.
	clientBurst = 10
	// channelBursts is how many times limits.channels_per_connection a client may
	// subscribe to channels that are new, at once.
	channelBursts = 4

	// reservedDescriptors are kept for what is no client: Redis, the log, the
	// admin listener and its clients, and those who are turned away.
	reservedDescriptors = 54
	// shardDescriptors is what a shard opens: the listener and a spare
	// descriptor, two epolls, each with an eventfd.
	shardDescriptors = 6
)

// newSettings compiles a valid configuration for a process that may open so
// many files. What it reads beside it are the files with keys.
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
	if set.trusted, err = proxy.ParseNetworks(cfg.Proxy.Trusted); err != nil {
		return nil, err
	}
	set.proxyHeader = proxy.Header(strings.ToLower(cfg.Proxy.Header))
	l := cfg.Limits
	set.maxPayload = min(l.PayloadBytes, l.TotalQueueBytes/payloadShare)
	set.acceptRate = limit.PerSecond(l.AcceptsPerSecond, l.AcceptsBurst)
	set.handshakeRate = limit.PerSecond(l.HandshakesPerSecond, l.HandshakesBurst)
	set.messageRate = limit.PerSecond(l.MessagesPerSecond, cmp.Or(l.MessagesBurst, clientBurst*l.MessagesPerSecond))
	set.channelRate = limit.PerSecond(l.NewChannelsPerSecond, channelBursts*l.ChannelsPerConnection)
	set.publishRate = limit.PerSecond(l.PublishesPerSecond, cmp.Or(l.PublishesBurst, clientBurst*l.PublishesPerSecond))
	set.totalPublishRate = limit.PerSecond(l.TotalPublishesPerSecond, 0)
	set.maxConnections = max(1, int(min(files, 1<<30))-reservedDescriptors-cfg.shards()*shardDescriptors)
	if n := l.Connections; n > 0 {
		if n > set.maxConnections {
			log.Warn("the limit on open files is below limits.connections", "connections", n, "files", files,
				"fix", "gateway doctor --target "+strconv.Itoa(n))
		}
		set.maxConnections = min(n, set.maxConnections)
	}
	set.files = min(int64(files), 1<<30)
	if cfg.Debug.Echo {
		log.Warn("clients are served " + echoPath + ", which is for development: debug.echo is on")
	}
	return set, nil
}
