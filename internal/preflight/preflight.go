// Package preflight knows every knob of the kernel, the process and Redis that
// stands between a box and a given number of connections: its value now, the
// value it needs, why, and the command that sets it.
//
// One table describes the knobs. The report, configs/sysctl.conf, the systemd
// snippet and the table in docs/OPERATIONS.md are all made from it, so they
// cannot disagree.
//
// The package reads the box through Env only and keeps no state.
package preflight

import (
	"fmt"
	"time"
)

// Side says which end of the connections the box holds.
type Side string

const (
	Server Side = "server"
	Client Side = "client"
	// Both is a box that holds the two ends of every connection, as in a test
	// over loopback.
	Both Side = "both"
)

// ParseSide reads a side; "" is Server.
func ParseSide(s string) (Side, error) {
	switch side := Side(s); side {
	case "":
		return Server, nil
	case Server, Client, Both:
		return side, nil
	}
	return "", fmt.Errorf("side: %q is not allowed, want server, client or both", s)
}

// includes reports whether a box on side s is concerned by a knob of side k.
func (s Side) includes(k Side) bool {
	return s == Both || k == Both || s == k
}

const (
	// DescriptorReserve is for the files beside the connections: listeners,
	// epolls, Redis, the admin listener's clients, log files.
	DescriptorReserve = 512
	// DefaultUserBytes is the budget of one idle connection in user space.
	DefaultUserBytes = 300
	// TLSBytes is what TLS adds to it.
	TLSBytes = 160
	// KernelBytes is the kernel's memory for one established TCP socket with
	// empty buffers, on each end: tcp_sock 2.5 KB, inode 0.86, dentry,
	// file and epoll item 0.2 each.
	KernelBytes = 4096
	// BaseBytes is the memory of a process before its first connection.
	BaseBytes = 64 << 20
	// ConntrackBytes is one entry of the connection tracking table with its
	// usual extensions.
	ConntrackBytes = 320

	defaultReconnectWindow = 30 * time.Second
	defaultPublishBytes    = 10 << 20
)

// Target is the load that the box shall carry. Connections must be set; every
// other field has a zero value that means its default.
type Target struct {
	Connections int
	// Side is Server when empty.
	Side Side
	// SourceAddresses is the number of local addresses a client connects
	// from, and Destinations the number of address:port pairs it connects to;
	// 0 means 1.
	SourceAddresses int
	Destinations    int
	// UserBytes is the cost of one connection in user space; 0 means
	// DefaultUserBytes.
	UserBytes int
	// SendBuffer and ReceiveBuffer are the server's SO_SNDBUF and SO_RCVBUF
	// in bytes; 0 leaves the sizing to the kernel.
	SendBuffer    int
	ReceiveBuffer int
	// ReconnectWindow is the time over which all clients reconnect after a restart; the
	// default, 0, is drain.timeout's 30 s.
	ReconnectWindow time.Duration
	// PublishBytes is the most that Redis sends to this gateway each second;
	// 0 means 10 MiB.
	PublishBytes int
}

// withDefaults replaces zero values by their meaning.
func (t Target) withDefaults() Target {
	if t.Side == "" {
		t.Side = Server
	}
	t.SourceAddresses = max(t.SourceAddresses, 1)
	t.Destinations = max(t.Destinations, 1)
	if t.UserBytes <= 0 {
		t.UserBytes = DefaultUserBytes
	}
	if t.ReconnectWindow <= 0 {
		t.ReconnectWindow = defaultReconnectWindow
	}
	if t.PublishBytes <= 0 {
		t.PublishBytes = defaultPublishBytes
	}
	return t
}

// ends is the number of ends of each connection on the box, and so of our
// processes.
func (t Target) ends() int64 {
	if t.Side == Both {
		return 2
	}
	return 1
}

// sockets is the number of established sockets on the box.
func (t Target) sockets() int64 { return t.ends() * int64(t.Connections) }

// Verdict is the result for one knob.
type Verdict string

const (
	// Pass: the box has enough for the target.
	Pass Verdict = "PASS"
	// Fix: the target is not reached before the knob is turned.
	Fix Verdict = "FIX"
	// Warn: it limits no connections, and should be looked at.
	Warn Verdict = "WARN"
	// Skip: it does not apply here, or can't be read; Why says which.
	Skip Verdict = "SKIP"
)

// Finding is one knob of the box against the target.
type Finding struct {
	Name    string  `json:"name"`
	Side    Side    `json:"side"`
	Verdict Verdict `json:"verdict"`
	// Value and Needed are as an operator would write them; Value is empty
	// when it could not be read.
	Value  string `json:"value"`
	Needed string `json:"needed"`
	// Why is one line: the damage, or for Skip the reason why nothing was
	// checked.
	Why string `json:"why"`
	// Fix is the command that turns the knob, or what else to do; empty for Pass.
	Fix string `json:"fix,omitempty"`
	// Setting is the value for /etc/sysctl.d where the knob is a sysctl.
	Setting string `json:"-"`

	lasting bool // the generated files keep the knob turned over a reboot
}

// Report is all findings for one target, in the order in which the knobs have
// to be turned.
type Report struct {
	Target   Target // with its defaults filled in
	Findings []Finding
}

// OK reports that nothing is left to fix.
func (r Report) OK() bool { return len(r.Fixes()) == 0 }

// Fixes returns the findings that keep the box from the target.
func (r Report) Fixes() []Finding { return r.with(Fix) }

func (r Report) with(v Verdict) []Finding {
	var out []Finding
	for _, f := range r.Findings {
		if f.Verdict == v {
			out = append(out, f)
		}
	}
	return out
}

// Run compares the box with the target, knob by knob in the order in which
// they have to be turned.
func Run(env Env, t Target) Report {
	t = t.withDefaults()
	r := Report{Target: t}
	for _, k := range knobs() {
		if t.Side.includes(k.side) {
			r.Findings = append(r.Findings, k.run(env, t))
		}
	}
	return r
}
