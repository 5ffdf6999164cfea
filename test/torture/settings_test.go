package torture

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// secret signs the tokens of the rounds with auth.mode jwt.
const secret = "0123456789abcdef0123456789abcdef"

// settings are the configuration of a round, of which a reload changes a part.
type settings struct {
	// Immutable
	jwt     bool
	rates   bool // messages, publishes, accepts and handshakes are limited
	shards  int
	uring   string
	linger  string
	ringLen int

	// Drawn anew for each reload
	queueBytes    int
	totalBytes    int
	payloadBytes  int
	messageBytes  int
	headBytes     int
	connections   int
	perAddress    int
	channels      int // per connection
	headTimeout   string
	idleTimeout   string
	interval      string // of the heartbeat
	timeout       string // of the heartbeat
	maxAge        string
	echo          bool
	perSecond     int // messages of a client
	handshakes    int // a second
	publishes     int // a second, of a client
	allPublishes  int // a second
	acceptsSecond int
	level         string
}

// pick returns one of the values.
func pick[T any](random *rand.Rand, values ...T) T { return values[random.IntN(len(values))] }

// chance reports true in percent of a hundred cases.
func chance(random *rand.Rand, percent int) bool { return random.IntN(100) < percent }

// drawSettings draws a round's.
func drawSettings(random *rand.Rand, clients int) settings {
	s := settings{
		jwt:     chance(random, 50),
		rates:   chance(random, 50),
		shards:  1 + random.IntN(2),
		uring:   pick(random, "auto", "off"),
		linger:  pick(random, "50ms", "500ms"),
		ringLen: pick(random, 4, 16, 128),
	}
	s.draw(random, clients)
	return s
}

// draw draws the reloadable settings.
func (s *settings) draw(random *rand.Rand, clients int) {
	s.queueBytes = pick(random, 1<<10, 8<<10, 64<<10, 256<<10)
	s.totalBytes = pick(random, 1<<20, 2<<20, 64<<20)
	s.payloadBytes = pick(random, 8<<10, 64<<10, 128<<10)
	s.messageBytes = pick(random, 512, 4<<10, 64<<10)
	s.headBytes = pick(random, 2<<10, 8<<10, 64<<10)
	s.connections = pick(random, 0, clients/2+witnesses, 4*clients)
	s.perAddress = pick(random, 0, 2*witnesses)
	s.channels = pick(random, 8, 100, 1000)
	s.headTimeout = pick(random, "1s", "2s") // a busy machine's clients need as much
	s.idleTimeout = pick(random, "200ms", "1s", "5s")
	s.interval = pick(random, "300ms", "1s", "25s")
	s.timeout = pick(random, "200ms", "300ms")
	s.maxAge = pick(random, "0s", "0s", "2s")
	s.echo = chance(random, 70)
	s.perSecond = pick(random, 5, 50, 500)
	s.handshakes = pick(random, 20, 200)
	s.publishes = pick(random, 2, 50)
	s.allPublishes = pick(random, 20, 500)
	s.acceptsSecond = pick(random, 50, 500)
	s.level = pick(random, "debug", "info")
}

// yaml returns the configuration file; the addresses are given by flags.
func (s *settings) yaml() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("shards: %d\norigins: [\"http://good.example\", \"https://*.example.com\"]", s.shards)
	line("channels:")
	line("  - {match: [\"%s\"], slow: drop_oldest}", dropped)
	line("  - {match: [\"noise.drop.*\"], publish: true, slow: drop_oldest}")
	line("  - {match: [\"noise.late.*\"], publish: true, slow: latest}")
	line("  - {match: [\"noise.kept.*\"], publish: true, durable: true, max_len: 200, ttl: 1m}")
	line("  - {match: [\"noise.kept-drop.*\"], publish: true, durable: true, max_len: 50, slow: drop_oldest}")
	line("  - {match: [\"noise.**\"], publish: true}")
	if s.jwt {
		line("auth: {mode: jwt, jwt: {secret: %s, leeway: 1s}}", secret)
	}
	line("heartbeat: {interval: %s, timeout: %s}", s.interval, s.timeout)
	line("limits:")
	line("  connections: %d\n  connections_per_address: %d", s.connections, s.perAddress)
	line("  queue_bytes: %d\n  total_queue_bytes: %d\n  payload_bytes: %d", s.queueBytes, s.totalBytes, s.payloadBytes)
	line("  message_bytes: %d\n  head_bytes: %d\n  channels_per_connection: %d", s.messageBytes, s.headBytes, s.channels)
	line("  head_timeout: %s\n  idle_timeout: %s", s.headTimeout, s.idleTimeout)
	if s.rates {
		line("  messages_per_second: %d\n  messages_burst: 50\n  publishes_per_second: %d", s.perSecond, s.publishes)
		line("  handshakes_per_second: %d\n  total_publishes_per_second: %d\n  accepts_per_second: %d", s.handshakes, s.allPublishes, s.acceptsSecond)
	} else {
		line("  messages_per_second: 0\n  messages_burst: 0")
	}
	line("socket: {io_uring: \"%s\"}", s.uring)
	line("drain: {delay: 0s, timeout: 300ms, reconnect: 200ms, max_age: %s}", s.maxAge)
	line("debug: {echo: %v}", s.echo)
	line("redis:\n  linger: %s\n  probe_interval: 200ms", s.linger)
	line("  ring: {messages: %d, bytes: 64KiB, age: 1s, total_bytes: 256KiB}", s.ringLen)
	line("log: {level: %s}", s.level)
	return b.String()
}
