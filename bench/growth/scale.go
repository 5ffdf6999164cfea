package growth

import "time"

// scale is how large the steps are.
type scale struct {
	Tries       int           // of a measurement that other programs disturb
	Warmup      int           // handshakes of clients that leave again, before anything is measured
	Idle        time.Duration // over which the CPU of an idle gateway is read
	Hold        time.Duration // over which memory is read; more than the second between two samples
	Deliveries  int           // in each step that sends one message after the other
	Connections []int

	// Channels.
	Clients    int
	Channels   []int // with one for each client
	Own        []int // of each client's own, more than one
	SpreadRate int   // deliveries per second
	SpreadFor  time.Duration

	// Subscriptions.
	Subscribers   int
	Subscriptions []int // for each client

	// Sizes of messages.
	Readers   int
	Sizes     []int
	SizeBytes int // most bytes to deliver in a step

	// The hot channel and the quiet ones.
	Hot, Quiet int // clients
	QuietRate  float64
	Window     time.Duration
	Pairs      int     // of windows in each round
	Busy       float64 // share of the CPUs that the hot channel is to take
}

// full is the page's scale. Two processes with 20,000 descriptors each can have
// 19,000 connections between them.
var full = scale{
	Tries:       3,
	Warmup:      10_000,
	Idle:        time.Second,
	Hold:        1200 * time.Millisecond,
	Deliveries:  200_000,
	Connections: []int{1000, 2000, 5000, 10_000, 15_000, 19_000},

	Clients:    10_000,
	Channels:   []int{1, 10, 100, 1000, 10_000},
	Own:        []int{5, 20},
	SpreadRate: 20_000,
	SpreadFor:  2 * time.Second,

	Subscribers:   2000,
	Subscriptions: []int{1, 2, 5, 10, 50, 100},

	Readers:   500,
	Sizes:     []int{64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10},
	SizeBytes: 2 << 30,

	Hot:       5000,
	Quiet:     1000,
	QuietRate: 100,
	Window:    4 * time.Second,
	Pairs:     2,
	Busy:      0.6,
}
