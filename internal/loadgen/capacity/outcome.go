package capacity

import (
	"fmt"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/result"
	"github.com/pushgate/pushgate/internal/probe"
)

// Schema names the layout of an Outcome as JSON.
const Schema = "pushgate.capacity/1"

// Outcome is the result of all steps.
type Outcome struct {
	Schema      string     `json:"schema"`
	Command     []string   `json:"command,omitempty"`
	Started     string     `json:"started"` // RFC 3339
	Seconds     float64    `json:"seconds"`
	Interrupted bool       `json:"interrupted"`
	Host        probe.Host `json:"host"`
	Server      string     `json:"server"` // its command line, or its process
	Transport   string     `json:"transport"`
	TLS         bool       `json:"tls,omitempty"`
	// Fresh: each step of connections had a gateway that was just started.
	Fresh bool `json:"fresh"`

	Connections []Step `json:"connections"`
	Deliveries  []Step `json:"deliveries"`
	// Break is the first step that the SLOs or the host refused; nil where
	// all went well.
	ConnectionsBreak *Break `json:"connections_break,omitempty"`
	DeliveriesBreak  *Break `json:"deliveries_break,omitempty"`

	Fits     Fits      `json:"fits"`
	Bill     *Bill     `json:"bill,omitempty"`
	Verified *Verified `json:"verified,omitempty"`

	Failed   []string `json:"failed"`
	Warnings []string `json:"warnings"`
}

// Over names the transport, and TLS where it is spoken.
func (o *Outcome) Over() string {
	if o.TLS {
		return o.Transport + " with TLS"
	}
	return o.Transport
}

// Step is one run.
type Step struct {
	Connections int `json:"connections"`
	// The measurements; a nil pointer was not measured.
	RSS         float64  `json:"rss_bytes"`
	Anon        float64  `json:"rss_anon_bytes"`
	Kernel      *float64 `json:"kernel_bytes,omitempty"` // grown by, both ends where both are here
	Pings       float64  `json:"pings_per_second"`
	IdleCPUs    float64  `json:"idle_cpus"`
	Handshake   float64  `json:"cpu_per_handshake_us"`
	ConnectRate float64  `json:"connects_per_second"`

	Rate      float64         `json:"messages_per_second"`
	Delivered float64         `json:"delivered_per_second"`
	CPUs      float64         `json:"publishing_cpus"`
	Bytes     float64         `json:"bytes_per_delivery"`
	Latency   account.Latency `json:"latency_from_due"`

	ClientBound bool             `json:"client_bound"`
	HostBound   bool             `json:"host_bound"`
	SLOs        []result.Verdict `json:"slos,omitempty"`
	Failed      []string         `json:"failed,omitempty"`
	Hint        string           `json:"hint,omitempty"` // the remedy for the clients' most frequent reason
	Good        bool             `json:"good"`
}

// Break is where the load became too much.
type Break struct {
	Good float64 `json:"good"` // the highest load that held
	Bad  float64 `json:"bad"`  // the lowest that did not
	Why  string  `json:"why"`
	Hint string  `json:"hint,omitempty"` // the remedy, where it is known
}

// text says where, in units of a load, and why; nil says nothing.
func (b *Break) text(load string) string {
	if b == nil {
		return ""
	}
	text := fmt.Sprintf("breaks between %.0f and %.0f %s: %s", b.Good, b.Bad, load, b.Why)
	if b.Hint != "" {
		text += "; " + b.Hint
	}
	return text
}

// Fits are the lines through the steps; nil where the points don't make one.
type Fits struct {
	RSS       *Fit `json:"rss,omitempty"`       // bytes over connections
	Kernel    *Fit `json:"kernel,omitempty"`    // bytes over connections, both ends where both are here
	Heartbeat *Fit `json:"heartbeat,omitempty"` // CPUs over pings per second
	Delivery  *Fit `json:"delivery,omitempty"`  // CPUs over deliveries per second
}

// Verified is a prediction beside the measurement of it.
type Verified struct {
	Connections int     `json:"connections"`
	Predicted   float64 `json:"predicted_rss_bytes"`
	Measured    float64 `json:"measured_rss_bytes"`
	Percent     float64 `json:"error_percent"`
	Largest     int     `json:"fitted_up_to"` // before the measurement was added to the line
}

// Basis is the source of a figure of the bill.
type Basis string

const (
	Measured     Basis = "measured"     // within the measurements
	Extrapolated Basis = "extrapolated" // by Factor beyond it
	Computed     Basis = "computed"     // follows from the number alone
	Tabulated    Basis = "from a table" // could not be measured here
)

// Item is one line of the bill.
type Item struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"` // bytes, CPUs, bit/s or empty for a number
	// Margin is the scatter of the measurements, to both sides; 0 where there
	// is none.
	Margin float64 `json:"margin"`
	Basis  Basis   `json:"basis"`
	Factor float64 `json:"factor,omitempty"` // of the extrapolation
	How    string  `json:"how"`
}

// Limit is a bound on the number of connections.
type Limit struct {
	Name    string `json:"name"`
	Carries int    `json:"carries"` // connections
	Why     string `json:"why"`
	Fix     string `json:"fix"`
	// Measured: the climb ended there; the others are limits of this host.
	Measured bool `json:"measured,omitempty"`
}

// Bill is the cost of the target.
type Bill struct {
	Target    int           `json:"target"`
	Heartbeat time.Duration `json:"heartbeat_ns"`
	Every     time.Duration `json:"message_every_ns"`
	Size      int           `json:"message_bytes"`
	Items     []Item        `json:"items"`
	// Limits are those below the target, the first one that is hit first.
	Limits []Limit `json:"limits"`
}
