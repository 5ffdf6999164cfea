// Package result is the outcome of a run: as JSON, as tables, as named figures
// with limits on them.
package result

import (
	"slices"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/preflight"
	"github.com/pushgate/pushgate/internal/probe"
)

// Schema names the layout of a Result as JSON. Fields may be added to it; any
// other change gets another number.
const Schema = "pushgate.loadgen/1"

// Result is the outcome of a run.
type Result struct {
	Schema      string     `json:"schema"`
	Scenario    string     `json:"scenario"`
	Command     []string   `json:"command,omitempty"`
	Run         string     `json:"run"`
	Started     string     `json:"started"` // RFC 3339
	Seconds     float64    `json:"seconds"`
	Interrupted bool       `json:"interrupted"`
	Host        probe.Host `json:"host"`
	Settings    Settings   `json:"settings"`

	// Partial: a process that held clients was lost. The counters are the last
	// that were known, and no figure that needs its clients was measured.
	Partial  bool             `json:"partial,omitempty"`
	Counters account.Counters `json:"counters"`
	Failures account.Tally    `json:"failures"` // clients that never were ready, by reason
	Retries  account.Tally    `json:"retries"`  // failed reconnects of clients
	Losses   account.Tally    `json:"losses"`   // clients lost later, by reason
	Errors   account.Tally    `json:"errors"`   // error messages to ready clients
	// Deferrals are answers that asked a client to retry later.
	Deferrals account.Tally `json:"deferrals,omitempty"`
	// Proxy is the program between the clients and the gateway, empty where
	// none is known; ProxyCuts are connections of ready clients that ended there.
	Proxy     string        `json:"proxy,omitempty"`
	ProxyCuts account.Tally `json:"proxy_cuts,omitempty"`
	// Addresses is how the clients fared at each address of a name with several.
	Addresses []account.Address `json:"addresses,omitempty"`

	Connect Connect `json:"connect"`
	Steps   []Step  `json:"stages,omitempty"`
	Idle    *Held   `json:"idle,omitempty"`
	Fanout  *Sent   `json:"fanout,omitempty"` // the messages that the run is judged by
	Storm   *Storm  `json:"storm,omitempty"`
	Churn   *Churn  `json:"churn,omitempty"`
	Slow    *Slow   `json:"slow,omitempty"`
	Server  *Server `json:"server,omitempty"`
	Kernel  *Kernel `json:"kernel,omitempty"`
	Agents  []Agent `json:"agents,omitempty"` // processes that held the clients, if not this one

	// SLOs are the verdicts on the limits that were asked for; Aborted says
	// which of them ended the run early.
	SLOs    []Verdict `json:"slos,omitempty"`
	Aborted string    `json:"aborted,omitempty"`
	// Knobs are the host's limits in this run.
	Knobs []preflight.Finding `json:"knobs,omitempty"`

	// NotMeasured says which figures could not be had from a foreign server, and
	// why: their values here mean nothing.
	NotMeasured []string `json:"not_measured,omitempty"`
	// Failed says why the run failed; empty when all was well.
	Failed []string `json:"failed"`
	// Warnings are cautions for reading the figures.
	Warnings []string `json:"warnings"`

	Series []Sample `json:"series"`
}

// Settings are the flags in effect.
type Settings struct {
	URL         string  `json:"url"`
	Transport   string  `json:"transport"`
	Connections int     `json:"connections"`
	InFlight    int     `json:"in_flight"`
	ConnectRate float64 `json:"connect_rate"`
	Sources     int     `json:"sources"`
	Channels    string  `json:"channels"`
	Loops       int     `json:"loops"`
	Timeout     float64 `json:"timeout_seconds"`
	// Foreign: the server is none of ours, and Publish is how it's published to.
	Foreign bool     `json:"foreign,omitempty"`
	Hello   []string `json:"hello,omitempty"`
	Publish string   `json:"publish,omitempty"`

	Insecure bool `json:"insecure,omitempty"` // certificates were not checked
	// Additions to every request; secrets are hidden.
	Headers     []string `json:"headers,omitempty"`
	Origin      string   `json:"origin,omitempty"`
	Subprotocol string   `json:"subprotocol,omitempty"`

	Load *Load `json:"load,omitempty"` // nil in runs of older versions
}

// Load is the flags that shape the load over time, at their defaults where a
// scenario does not go by them.
type Load struct {
	Stages       string  `json:"stages"`
	Agents       int     `json:"agents"` // processes, here and elsewhere
	Share        float64 `json:"share"`
	SlowShare    float64 `json:"slow_share"`
	SlowRead     int     `json:"slow_read_bytes_per_second"`
	ChurnRate    float64 `json:"churn_rate"`
	Resume       bool    `json:"resume"`
	ServerSignal string  `json:"server_signal"` // empty: no restart
	Backoff      float64 `json:"backoff_seconds"`
	BackoffMost  float64 `json:"backoff_max_seconds"`
	Before       float64 `json:"before_seconds"`
	After        float64 `json:"after_seconds"`
	Duration     float64 `json:"duration_seconds"`
	Hold         float64 `json:"hold_seconds"`
}

// Connect is the connects of the clients.
type Connect struct {
	Seconds   float64         `json:"seconds"`
	PerSecond float64         `json:"per_second"`
	Handshake account.Latency `json:"handshake"`
	Ready     account.Latency `json:"ready"`
	// With a pace: the handshake from when it was to begin, and how many began
	// more than 5 ms later.
	HandshakeDue account.Latency `json:"handshake_from_due"`
	Late         uint64          `json:"late"`
	Effort       Effort          `json:"effort"`
}

// Held is the outcome of Idle.
type Held struct {
	Seconds float64 `json:"seconds"`
	Pings   uint64  `json:"pings"`
	Effort  Effort  `json:"effort"`
}

// Sent is the outcome of publishing.
type Sent struct {
	Channels  uint32  `json:"channels"` // with subscribers
	Via       string  `json:"via"`      // Redis, --publish-url or --publish-cmd; empty in runs of older versions
	Size      int     `json:"size"`
	Durable   bool    `json:"durable"`
	Rate      float64 `json:"rate"`
	Asked     int     `json:"asked"`
	Published int     `json:"published"`
	Late      int     `json:"late"`    // sent more than 5 ms after they were due
	Skipped   int     `json:"skipped"` // not sent: too late
	Unheard   int     `json:"unheard"` // Redis had no subscriber for them
	// Not published: never written, most of them after an error; refused by Redis. FateUnknown
	// had no answer.
	NotSent     int     `json:"not_sent,omitempty"`
	Refused     int     `json:"refused,omitempty"`
	FateUnknown int     `json:"fate_unknown,omitempty"`
	PerSecond   float64 `json:"published_per_second"`
	Seconds     float64 `json:"seconds"` // first publish to last delivery
	Expected    uint64  `json:"expected"`
	Missing     uint64  `json:"missing"`
	// UnknownMissing is the missing deliveries of the messages without an answer,
	// which are in neither of the two.
	UnknownMissing uint64 `json:"fate_unknown_missing,omitempty"`
	// Of the expected and the missing, those of clients that the run cut.
	ExpectedMoved uint64 `json:"expected_moved,omitempty"`
	MissingMoved  uint64 `json:"missing_moved,omitempty"`
	// Of the missing, messages that passed while a proxy may have cut the client.
	MissingCut uint64 `json:"missing_proxy,omitempty"`
	Delivered  uint64 `json:"delivered"`
	Bytes      uint64 `json:"bytes,omitempty"` // that clients received meanwhile, as in the counters
	Duplicated uint64 `json:"duplicated"`
	Replayed   uint64 `json:"replayed,omitempty"` // sent again by design, to streams that reconnected
	Reordered  uint64 `json:"reordered"`
	Incomplete uint64 `json:"incomplete_subscriptions"`
	// Unaudited: a process that held clients was lost, so that deliveries are unknown; from
	// Missing on nothing was measured.
	Unaudited bool `json:"unaudited,omitempty"`
	// Examples names a few subscriptions that miss something.
	Examples    []string        `json:"missing_examples,omitempty"`
	DeliveredPS float64         `json:"delivered_per_second"`
	Due         account.Latency `json:"latency_from_due"`
	Real        account.Latency `json:"latency_from_sent"`
	Publish     account.Latency `json:"publish"`    // one round trip to Redis, of a batch
	Completion  account.Latency `json:"completion"` // send to the last subscriber; only with rate 0
	Effort      Effort          `json:"effort"`
	// ServerCPU is the CPU time of the server's process meanwhile; nil: not measured.
	ServerCPU *float64 `json:"server_cpu_seconds,omitempty"`

	Sending float64 `json:"-"` // seconds of publishing, which PerSecond is over
}

// Add joins the account of another hold. Its latencies are not in the sum:
// percentiles can't be added.
func (f *Sent) Add(o *Sent) {
	channels, size, rate := max(f.Channels, o.Channels), f.Size, f.Rate
	account.AddNumbers(f, o)
	f.Channels, f.Size, f.Rate = channels, size, rate
	f.Unaudited = f.Unaudited || o.Unaudited
	f.Examples = append(slices.Clone(f.Examples), o.Examples[:min(len(o.Examples), account.MaxExamples-len(f.Examples))]...)
	f.PerSecond, f.DeliveredPS = PerSecond(float64(f.Published), f.Sending), PerSecond(float64(f.Delivered), f.Seconds)
	f.Effort.Add(o.Effort)
	if f.ServerCPU != nil && o.ServerCPU != nil {
		sum := *f.ServerCPU + *o.ServerCPU
		f.ServerCPU = &sum
	} else {
		f.ServerCPU = nil
	}
}

// Server is the figures of the server's process.
type Server struct {
	PID       int                 `json:"pid"`
	Name      string              `json:"name"`
	Before    probe.ProcessSample `json:"before"`
	Connected probe.ProcessSample `json:"connected"`
	After     probe.ProcessSample `json:"after"` // clients still connected

	// The same moments by the gateway's own metrics, with --admin.
	MetricsBefore    *MetricsSample `json:"metrics_before,omitempty"`
	MetricsConnected *MetricsSample `json:"metrics_connected,omitempty"`
	MetricsAfter     *MetricsSample `json:"metrics_after,omitempty"`

	// Unread: a sample could not be taken, for example because the process has
	// ended; nothing that follows from samples was measured.
	Unread    bool `json:"unread,omitempty"`
	Restarted bool `json:"restarted,omitempty"` // by the run: nothing can be said per connection

	HeapPerConnection float64 `json:"heap_in_use_per_connection_bytes"`
	RSSPerConnection  float64 `json:"rss_per_connection_bytes"`
	AnonPerConnection float64 `json:"rss_anon_per_connection_bytes"`
	// RSSGrowth is the growth per connection over the upper half of the
	// connects, without the costs that the first ones have once.
	RSSGrowth       float64 `json:"rss_growth_per_connection_bytes"`
	CPUPerHandshake float64 `json:"cpu_per_handshake_us"`
	CPUIdle         float64 `json:"cpu_idle_percent"`     // of one CPU, while idle
	CPUPerDelivery  float64 `json:"cpu_per_delivery_us"`  // while publishing
	CPUPublishing   float64 `json:"cpu_publishing_share"` // CPUs in use while publishing
}

// Good reports whether the run was as asked.
func (r *Result) Good() bool { return len(r.Failed) == 0 }

// PerSecond is n over a time that may be too short to divide by.
func PerSecond(n, seconds float64) float64 {
	if seconds <= 0 {
		return 0
	}
	return n / seconds
}

// Kernel is the host's kernel at the turns of a run.
type Kernel struct {
	Before    probe.KernelSample `json:"before"`
	Connected probe.KernelSample `json:"connected"`
	After     probe.KernelSample `json:"after"` // clients still connected

	// Its growth for each open connection, whose both ends are on this
	// host if the gateway is.
	SlabPerConnection float64 `json:"slab_per_connection_bytes"`
	TCPPerConnection  float64 `json:"tcp_memory_per_connection_bytes"`
}
