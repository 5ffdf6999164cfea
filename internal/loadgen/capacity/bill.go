package capacity

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sort"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen"
	"github.com/pushgate/pushgate/internal/preflight"
)

const (
	// packetBytes is what a TCP segment carries around its data: Ethernet 14,
	// IPv4 20, TCP with time stamps 32.
	packetBytes = 66
	// A ping frame of the server's, a pong frame of the client's.
	pingBytes, pongBytes = 2, 6

	// reconnectWindow is the time over which all clients come back.
	reconnectWindow = 30 * time.Second
	// gatewaySendBuffer is the gateway's own default.
	gatewaySendBuffer = 16 << 10
)

// bill adds up what the target costs. It needs the line through the memory.
func (o *Outcome) bill(c Config, env preflight.Env) *Bill {
	if o.Fits.RSS == nil {
		return nil
	}
	b := &Bill{Target: c.Target, Heartbeat: c.Heartbeat, Every: c.Every, Size: c.Run.Size}
	n := float64(c.Target)
	most := o.largest()
	scale := func(x, measured float64) (Basis, float64) {
		if measured <= 0 || x <= measured {
			return Measured, 1
		}
		return Extrapolated, x / measured
	}

	rss := o.Fits.RSS
	basis, factor := scale(n, most)
	user := rss.At(n)
	b.add(Item{Name: "memory, the gateway's", Value: user, Unit: "bytes", Margin: rss.Uncertainty(n), Basis: basis, Factor: factor,
		How: fmt.Sprintf("%.0f B a connection + %.1f MiB", rss.Slope, rss.Base/(1<<20))})
	kernelEach, kernelHow := float64(preflight.KernelBytes), "a socket's structures; what was measured here scatters too much"
	kernelBasis, kernelFactor := Table, 0.0
	if k := o.Fits.Kernel; k != nil && k.Good() {
		kernelEach = k.Slope / c.ends()
		kernelBasis, kernelFactor = basis, factor
		kernelHow = fmt.Sprintf("%.0f B a connection", kernelEach)
		if c.ends() == 2 {
			kernelHow += ", half of what both ends took here"
		}
	}
	b.add(Item{Name: "memory, the kernel's", Value: kernelEach * n, Unit: "bytes", Basis: kernelBasis, Factor: kernelFactor, How: kernelHow})
	bothHow := "without what waits for slow clients"
	if kernelBasis == Table {
		bothHow = "the kernel's part, " + bothHow
		basis, factor = Table, 0
	}
	b.add(Item{Name: "memory, both", Value: user + kernelEach*n, Unit: "bytes", Basis: basis, Factor: factor, How: bothHow})
	b.add(Item{Name: "file descriptors", Value: n + preflight.DescriptorReserve, Basis: Computed,
		How: fmt.Sprintf("one a connection and %d", preflight.DescriptorReserve)})
	if ports := c.portsEach; ports > 0 {
		b.add(Item{Name: "source addresses", Value: math.Ceil(n / float64(ports)), Basis: Computed,
			How: fmt.Sprintf("of the clients or of a proxy in front, with %d ports each as on this host", ports)})
	}
	cpu := o.billCPU(b, c, n, scale)
	o.billNetwork(b, c, n)
	b.Limits = append(o.breaks(c), limits(c, env, rss.Slope, cpu)...)
	return b
}

func (b *Bill) add(i Item) { b.Items = append(b.Items, i) }

// billCPU adds the CPU's lines and returns the CPUs that n connections take,
// as a function; nil where too little was measured.
func (o *Outcome) billCPU(b *Bill, c Config, n float64, scale func(x, measured float64) (Basis, float64)) func(n float64) float64 {
	pings, deliveries := n/c.Heartbeat.Seconds(), n/c.Every.Seconds()
	heart, deliver := o.Fits.Heartbeat, o.Fits.Delivery
	if heart != nil && heart.Slope > 0 {
		basis, factor := scale(pings, largestX(heart.Points))
		b.add(Item{Name: "CPU for heartbeats", Value: heart.Slope * pings, Unit: "CPUs", Margin: 2 * heart.SlopeError * pings, Basis: basis, Factor: factor,
			How: fmt.Sprintf("%.1f us a cycle, one every %s for each client: %.0f/s", heart.Slope*1e6, b.HeartbeatText(), pings)})
	}
	if deliver != nil && deliver.Slope > 0 {
		basis, factor := scale(deliveries, largestX(deliver.Points))
		b.add(Item{Name: "CPU for messages", Value: deliver.Slope * deliveries, Unit: "CPUs", Margin: 2 * deliver.SlopeError * deliveries, Basis: basis, Factor: factor,
			How: fmt.Sprintf("%.1f us a delivery, one every %s to each client: %.0f/s", deliver.Slope*1e6, b.EveryText(), deliveries)})
	}
	if us := o.handshake(); us > 0 {
		perSecond := n / reconnectWindow.Seconds()
		basis, factor := scale(perSecond, o.connectRate())
		b.add(Item{Name: "CPU when all come back", Value: us / 1e6 * perSecond, Unit: "CPUs", Basis: basis, Factor: factor,
			How: fmt.Sprintf("%.0f us a handshake, %.0f/s for %v", us, perSecond, reconnectWindow)})
	}
	if heart == nil || deliver == nil || heart.Slope <= 0 || deliver.Slope <= 0 {
		return nil
	}
	return func(n float64) float64 {
		return heart.Slope*n/c.Heartbeat.Seconds() + deliver.Slope*n/c.Every.Seconds()
	}
}

// billNetwork computes what goes over the wire, headers included.
func (o *Outcome) billNetwork(b *Bill, c Config, n float64) {
	message := 0.0
	for _, s := range o.Deliveries {
		message = max(message, s.Bytes)
	}
	if message == 0 {
		return
	}
	pings, deliveries := n/c.Heartbeat.Seconds(), n/c.Every.Seconds()
	// Each segment with data is answered by one without, unless it rides along.
	out := pings*(pingBytes+packetBytes) + pings*packetBytes + deliveries*(message+packetBytes)
	in := pings*(pongBytes+packetBytes) + deliveries*packetBytes
	how := fmt.Sprintf("heartbeats and messages of %.0f B as they were on the wire, with TCP/IP and Ethernet", message)
	back := "pongs and acknowledgements"
	switch c.Run.Transport {
	case loadgen.SSE:
		how += "; the heartbeats are a WebSocket's"
		back += " as over WebSocket, which is more than a stream's"
	case loadgen.Poll:
		how += "; the heartbeats are a WebSocket's"
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

func (o *Outcome) connectRate() float64 {
	most := 0.0
	for _, s := range o.Connections {
		most = max(most, s.ConnectRate)
	}
	return most
}

// largest returns the most connections that were measured.
func (o *Outcome) largest() float64 {
	if o.Fits.RSS == nil {
		return 0
	}
	return largestX(o.Fits.RSS.Points)
}

func largestX(points []Point) float64 {
	most := 0.0
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

// limits lists what keeps this host from the target, the nearest first.
func limits(c Config, env preflight.Env, each float64, cpu func(n float64) float64) []Limit {
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
	if cpu != nil && c.cpus > 0 && cpu(float64(c.Target)) > float64(c.cpus) {
		n := float64(c.cpus) / cpu(1)
		all = append(all, Limit{Name: "CPU", Carries: int(n),
			Why: fmt.Sprintf("%d CPUs are busy with heartbeats and messages alone", c.cpus),
			Fix: "a longer heartbeat.interval, fewer messages a client, more CPUs"})
	}
	slices.SortStableFunc(all, func(a, b Limit) int { return a.Carries - b.Carries })
	return all
}
