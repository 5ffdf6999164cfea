package capacity

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sort"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/plan"
	"github.com/pushgate/pushgate/internal/preflight"
)

const (
	// packetBytes are the headers of a TCP segment: Ethernet 14,
	// IPv4 20, TCP with time stamps 32.
	packetBytes = 66
	// A ping frame of the server's, a pong frame of the client's.
	pingBytes, pongBytes = 2, 6
	// recordBytes is the overhead of a record of TLS 1.3: header, type and tag.
	recordBytes = 5 + 1 + 16

	// reconnectWindow is the time over which all clients reconnect.
	reconnectWindow = 30 * time.Second
	// gatewaySendBuffer is the gateway's own default.
	gatewaySendBuffer = 16 << 10
)

// ends is how many ends of each connection are on this host: kernel memory is
// measured on loopback only.
const ends = 2

// scale says how far x is beyond the measurements.
func scale(x, measured float64) (Basis, float64) {
	if measured <= 0 || x <= measured {
		return Measured, 1
	}
	return Extrapolated, x / measured
}

// bill adds up the costs of the target. It needs the line through the memory.
func (o *Outcome) bill(c Config, env preflight.Env) *Bill {
	if o.Fits.RSS == nil {
		return nil
	}
	b := &Bill{Target: c.Target, Heartbeat: c.Heartbeat, Every: c.Every, Size: c.Run.Size}
	n := float64(c.Target)
	o.billMemory(b, n)
	b.add(Item{Name: "file descriptors", Value: n + preflight.DescriptorReserve, Basis: Computed,
		How: fmt.Sprintf("one a connection and %d", preflight.DescriptorReserve)})
	if ports := c.portsEach; ports > 0 {
		b.add(Item{Name: "source addresses", Value: math.Ceil(n / float64(ports)), Basis: Computed,
			How: fmt.Sprintf("of the clients or of a proxy in front, with %d ports each as on this host", ports)})
	}
	pings, deliveries := n/c.Heartbeat.Seconds(), n/c.Every.Seconds()
	cpu := o.billCPU(b, n, pings, deliveries)
	o.billNetwork(b, c.Run.Transport, pings, deliveries)
	b.Limits = append(o.breaks(c), limits(c, env, o.Fits.RSS.Slope, cpu)...)
	return b
}

func (b *Bill) add(i Item) { b.Items = append(b.Items, i) }

func (o *Outcome) billMemory(b *Bill, n float64) {
	rss := o.Fits.RSS
	basis, factor := scale(n, o.largest())
	user := Item{Name: "memory, the gateway's", Value: rss.At(n), Unit: "bytes", Margin: rss.Uncertainty(n), Basis: basis, Factor: factor,
		How: fmt.Sprintf("%.0f B a connection + %.1f MiB", rss.Slope, rss.Base/(1<<20))}
	kernel := Item{Name: "memory, the kernel's", Value: preflight.KernelBytes * n, Unit: "bytes", Basis: Tabulated,
		How: "a socket's structures; the measurements here scatter too much"}
	both := Item{Name: "memory, both", Unit: "bytes", Basis: Tabulated, How: "the kernel's part, without what waits for slow clients"}
	if k := o.Fits.Kernel; k != nil && k.Good() {
		each := k.Slope / ends
		kernel.Value, kernel.Basis, kernel.Factor = each*n, basis, factor
		kernel.How = fmt.Sprintf("%.0f B a connection, half of what both ends took here", each)
		both.Basis, both.Factor, both.How = basis, factor, "without what waits for slow clients"
	}
	both.Value = user.Value + kernel.Value
	b.Items = append(b.Items, user, kernel, both)
}

// billCPU adds the CPU's lines and returns the CPUs that heartbeats and messages
// take; 0 where too little was measured.
func (o *Outcome) billCPU(b *Bill, n, pings, deliveries float64) float64 {
	total, known := 0.0, 0
	for _, x := range []struct {
		name   string
		fit    *Fit
		perSec float64
		how    string
		each   time.Duration
	}{
		{"CPU for heartbeats", o.Fits.Heartbeat, pings, "%.1f us a cycle, one every %s for each client: %.0f/s", b.Heartbeat},
		{"CPU for messages", o.Fits.Delivery, deliveries, "%.1f us a delivery, one every %s to each client: %.0f/s", b.Every},
	} {
		if x.fit == nil || x.fit.Slope <= 0 {
			continue
		}
		basis, factor := scale(x.perSec, largestX(x.fit.Points))
		b.add(Item{Name: x.name, Value: x.fit.Slope * x.perSec, Unit: "CPUs", Margin: 2 * x.fit.SlopeError * x.perSec, Basis: basis, Factor: factor,
			How: fmt.Sprintf(x.how, x.fit.Slope*1e6, shorten(x.each), x.perSec)})
		total += x.fit.Slope * x.perSec
		known++
	}
	if us := o.handshake(); us > 0 {
		perSecond, fastest := n/reconnectWindow.Seconds(), 0.0
		for _, s := range o.Connections {
			fastest = max(fastest, s.ConnectRate)
		}
		kind := "handshake"
		if o.TLS {
			kind = "handshake with TLS"
		}
		basis, factor := scale(perSecond, fastest)
		b.add(Item{Name: "CPU when all come back", Value: us / 1e6 * perSecond, Unit: "CPUs", Basis: basis, Factor: factor,
			How: fmt.Sprintf("%.0f us a %s, %.0f/s for %v", us, kind, perSecond, reconnectWindow)})
	}
	if known < 2 {
		return 0
	}
	return total
}

// billNetwork computes the traffic on the wire, headers included.
func (o *Outcome) billNetwork(b *Bill, transport plan.Transport, pings, deliveries float64) {
	message := 0.0
	for _, s := range o.Deliveries {
		message = max(message, s.Bytes)
	}
	if message == 0 {
		return
	}
	ping, pong, with := float64(pingBytes), float64(pongBytes), "TCP/IP"
	if o.TLS { // the bytes of a message were counted as encrypted
		ping, pong, with = ping+recordBytes, pong+recordBytes, "TLS, TCP/IP"
	}
	// Each segment with data is answered by one without, unless it rides along.
	out := pings*(ping+packetBytes) + pings*packetBytes + deliveries*(message+packetBytes)
	in := pings*(pong+packetBytes) + deliveries*packetBytes
	how := fmt.Sprintf("heartbeats and messages of %.0f B as they were on the wire, with %s and Ethernet", message, with)
	back := "pongs and acknowledgements"
	if transport != plan.WebSocket {
		how += "; the heartbeats are a WebSocket's"
	}
	switch transport {
	case plan.SSE:
		back += " as over WebSocket, which is more than a stream's"
	case plan.Poll:
		back += " as over WebSocket; the request after each message comes on top"
	}
	b.add(Item{Name: "network, out", Value: out * 8, Unit: "bit/s", Basis: Computed, How: how})
	b.add(Item{Name: "network, in", Value: in * 8, Unit: "bit/s", Basis: Computed, How: back})
}

// handshake returns the median CPU of a handshake in us.
func (o *Outcome) handshake() float64 {
	var all []float64
	for _, s := range o.Connections {
		if s.Handshake > 0 {
			all = append(all, s.Handshake)
		}
	}
	return median(all)
}

// largest returns the most connections that were measured.
func (o *Outcome) largest() float64 {
	if o.Fits.RSS == nil {
		return 0
	}
	return largestX(o.Fits.RSS.Points)
}

func largestX(points []Point) (most float64) {
	for _, p := range points {
		most = max(most, p.X)
	}
	return most
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// breaks lists where the climb itself ended short of the target: measured, so
// it stands before whatever the tables say.
func (o *Outcome) breaks(c Config) (all []Limit) {
	add := func(name string, carries float64, b *Break) {
		if carries < float64(c.Target) {
			all = append(all, Limit{Name: name, Carries: int(carries), Why: b.Why, Fix: cmp.Or(b.Hint, "see the steps above, and the gateway's log"), Measured: true})
		}
	}
	if b := o.ConnectionsBreak; b != nil {
		add("break, measured", b.Good, b)
	}
	if b := o.DeliveriesBreak; b != nil {
		// So many clients get a message each in the bill's time.
		add("break in deliveries, measured", b.Good*float64(c.Subscribers)*c.Every.Seconds(), b)
	}
	slices.SortStableFunc(all, func(a, b Limit) int { return a.Carries - b.Carries })
	return all
}

// limits lists the limits of this host below the target, the nearest first.
// It is given the bytes of a connection and the CPUs of the target, 0: not known.
func limits(c Config, env preflight.Env, each, cpu float64) []Limit {
	check := func(n int) preflight.Report {
		return preflight.Run(env, preflight.Target{Connections: n, Side: preflight.Server,
			UserBytes: max(int(math.Ceil(each)), 1), SendBuffer: gatewaySendBuffer})
	}
	var all []Limit
	for _, f := range check(c.Target).Fixes() {
		// The most connections that the knob lets pass.
		n := sort.Search(c.Target, func(n int) bool {
			return slices.ContainsFunc(check(n+1).Fixes(), func(x preflight.Finding) bool { return x.Name == f.Name })
		})
		all = append(all, Limit{Name: f.Name, Carries: n, Why: f.Why, Fix: f.Fix})
	}
	if c.cpus > 0 && cpu > float64(c.cpus) {
		all = append(all, Limit{Name: "CPU", Carries: int(float64(c.cpus) / cpu * float64(c.Target)),
			Why: fmt.Sprintf("%d CPUs are busy with heartbeats and messages alone", c.cpus),
			Fix: "a longer heartbeat.interval, fewer messages a client, more CPUs"})
	}
	slices.SortStableFunc(all, func(a, b Limit) int { return a.Carries - b.Carries })
	return all
}
