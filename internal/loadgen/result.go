package loadgen

import (
	"slices"
	"time"

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
	Partial  bool     `json:"partial,omitempty"`
	Counters Counters `json:"counters"`
	Failures tally    `json:"failures"` // clients that never were ready, by reason
	Retries  tally    `json:"retries"`  // failed attempts of clients to come back
	Losses   tally    `json:"losses"`   // clients lost later, by reason
	Errors   tally    `json:"errors"`   // error messages to ready clients
	// Deferrals are answers that told a client to come later.
	Deferrals tally `json:"deferrals,omitempty"`
	// Proxy is what stands between the clients and the gateway, empty where
	// none is known; ProxyCuts are connections of ready clients that ended there.
	Proxy     string `json:"proxy,omitempty"`
	ProxyCuts tally  `json:"proxy_cuts,omitempty"`
	// Addresses is how the clients fared at each address of a name with several.
	Addresses []Address `json:"addresses,omitempty"`

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
	// Knobs is what the host's limits were for this run.
	Knobs []preflight.Finding `json:"knobs,omitempty"`

	// NotMeasured says which figures could not be had from a foreign server, and
	// why: what they are here means nothing.
	NotMeasured []string `json:"not_measured,omitempty"`
	// Failed says why the run failed; empty when all was well.
	Failed []string `json:"failed"`
	// Warnings says what the figures must be read with.
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
	// What every request has beside; secrets are hidden.
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

// Connect is how the clients came up.
type Connect struct {
	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"per_second"`
	Handshake Latency `json:"handshake"`
	Ready     Latency `json:"ready"`
	// With a pace: the handshake from when it was to begin, and how many began
	// more than 5 ms later.
	HandshakeDue Latency `json:"handshake_from_due"`
	Late         uint64  `json:"late"`
	Effort       Effort  `json:"effort"`
}

// Held is what Idle measured.
type Held struct {
	Seconds float64 `json:"seconds"`
	Pings   uint64  `json:"pings"`
	Effort  Effort  `json:"effort"`
}

// Sent is what Fanout measured.
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
	// Not published: never written, most of them after an error; refused by
	// Redis. And those that it did not answer for.
	NotSent     int     `json:"not_sent,omitempty"`
	Refused     int     `json:"refused,omitempty"`
	FateUnknown int     `json:"fate_unknown,omitempty"`
	PerSecond   float64 `json:"published_per_second"`
	Seconds     float64 `json:"seconds"` // first publish to last delivery
	Expected    uint64  `json:"expected"`
	Missing     uint64  `json:"missing"`
	// UnknownMissing is what did not come of the messages without an answer,
	// which are in neither of the two.
	UnknownMissing uint64 `json:"fate_unknown_missing,omitempty"`
	// Of the expected and the missing, those of clients that the run cut.
	ExpectedMoved uint64 `json:"expected_moved,omitempty"`
	MissingMoved  uint64 `json:"missing_moved,omitempty"`
	// Of the missing, those that passed while a proxy may have cut the client.
	MissingCut uint64 `json:"missing_proxy,omitempty"`
	Delivered  uint64 `json:"delivered"`
	Duplicated uint64 `json:"duplicated"`
	Replayed   uint64 `json:"replayed,omitempty"` // came again by design, to streams that came back
	Reordered  uint64 `json:"reordered"`
	Incomplete uint64 `json:"incomplete_subscriptions"`
	// Unaudited: a process that held clients was lost, so that nobody can tell
	// what came; from Missing on nothing was measured.
	Unaudited bool `json:"unaudited,omitempty"`
	// Examples names a few subscriptions that miss something.
	Examples    []string `json:"missing_examples,omitempty"`
	DeliveredPS float64  `json:"delivered_per_second"`
	Due         Latency  `json:"latency_from_due"`
	Real        Latency  `json:"latency_from_sent"`
	Publish     Latency  `json:"publish"`    // one round trip to Redis, of a batch
	Completion  Latency  `json:"completion"` // send to the last subscriber; only with rate 0
	Effort      Effort   `json:"effort"`
	// ServerCPU is what the server's process used meanwhile; nil: not measured.
	ServerCPU *float64 `json:"server_cpu_seconds,omitempty"`

	sending float64 // seconds of publishing, which PerSecond is over
}

// add joins the account of another hold. Its latencies are not in the sum:
// percentiles can't be added.
func (f *Sent) add(o *Sent) {
	f.sending += o.sending
	f.Channels = max(f.Channels, o.Channels)
	f.Asked += o.Asked
	f.Published += o.Published
	f.Late += o.Late
	f.Skipped += o.Skipped
	f.Unheard += o.Unheard
	f.NotSent += o.NotSent
	f.Refused += o.Refused
	f.FateUnknown += o.FateUnknown
	f.UnknownMissing += o.UnknownMissing
	f.Seconds += o.Seconds
	f.Expected += o.Expected
	f.Missing += o.Missing
	f.MissingCut += o.MissingCut
	f.Delivered += o.Delivered
	f.Duplicated += o.Duplicated
	f.Replayed += o.Replayed
	f.Reordered += o.Reordered
	f.Incomplete += o.Incomplete
	f.Unaudited = f.Unaudited || o.Unaudited
	f.Examples = append(slices.Clone(f.Examples), o.Examples[:min(len(o.Examples), maxExamples-len(f.Examples))]...)
	f.PerSecond, f.DeliveredPS = perSecond(float64(f.Published), f.sending), perSecond(float64(f.Delivered), f.Seconds)
	f.Effort.add(o.Effort)
	if f.ServerCPU != nil && o.ServerCPU != nil {
		sum := *f.ServerCPU + *o.ServerCPU
		f.ServerCPU = &sum
	} else {
		f.ServerCPU = nil
	}
}

// Server is what was seen of the server's process.
type Server struct {
	PID       int           `json:"pid"`
	Name      string        `json:"name"`
	Before    ProcessSample `json:"before"`
	Connected ProcessSample `json:"connected"`
	After     ProcessSample `json:"after"` // clients still connected

	// The same moments by the gateway's own metrics, with --admin.
	MetricsBefore    *MetricsSample `json:"metrics_before,omitempty"`
	MetricsConnected *MetricsSample `json:"metrics_connected,omitempty"`
	MetricsAfter     *MetricsSample `json:"metrics_after,omitempty"`

	// Unread: a sample could not be taken, for example because the process has
	// ended; what follows from samples was not measured.
	Unread    bool `json:"unread,omitempty"`
	Restarted bool `json:"restarted,omitempty"` // by the run: nothing can be said per connection

	HeapPerConnection float64 `json:"heap_in_use_per_connection_bytes"`
	RSSPerConnection  float64 `json:"rss_per_connection_bytes"`
	AnonPerConnection float64 `json:"rss_anon_per_connection_bytes"`
	// RSSGrowth is the growth per connection over the upper half of the
	// connects, without what the first ones cost once.
	RSSGrowth       float64 `json:"rss_growth_per_connection_bytes"`
	CPUPerHandshake float64 `json:"cpu_per_handshake_us"`
	CPUIdle         float64 `json:"cpu_idle_percent"`     // of one CPU, while idle
	CPUPerDelivery  float64 `json:"cpu_per_delivery_us"`  // while publishing
	CPUPublishing   float64 `json:"cpu_publishing_share"` // CPUs in use while publishing
}

// Good reports whether the run was as asked.
func (r *Result) Good() bool { return len(r.Failed) == 0 }

func settings(p *plan) Settings {
	var headers []string
	for _, field := range p.Headers {
		headers = append(headers, maskField(field))
	}
	s := Settings{
		Insecure:    p.Insecure,
		Headers:     headers,
		Origin:      p.Origin,
		Subprotocol: maskSubprotocol(p.Subprotocol),
		URL:         printableURL(p.URL),
		Transport:   string(p.Transport),
		Connections: p.Connections,
		InFlight:    p.InFlight,
		ConnectRate: p.ConnectRate,
		Sources:     p.sources.len(),
		Channels:    p.Channels,
		Loops:       min(p.Loops, p.Connections),
		Timeout:     p.Timeout.Seconds(),
		Load:        loadOf(p),
		Foreign:     p.Foreign,
	}
	for _, hello := range p.Hello {
		s.Hello = append(s.Hello, maskWords(hello))
	}
	switch {
	case p.PublishURL != "":
		s.Publish = maskURL(p.PublishURL)
	case p.PublishCmd != "":
		s.Publish = maskWords(p.PublishCmd)
	}
	return s
}

func loadOf(p *plan) *Load {
	l := &Load{
		Stages:      p.Stages,
		Agents:      len(p.agentCommands()),
		Share:       p.Share,
		SlowShare:   p.SlowShare,
		SlowRead:    p.SlowRead,
		ChurnRate:   p.ChurnRate,
		Resume:      p.Resume,
		Backoff:     p.Backoff.Seconds(),
		BackoffMost: p.BackoffMost.Seconds(),
		Before:      p.Before.Seconds(),
		After:       p.After.Seconds(),
		Duration:    p.Duration.Seconds(),
		Hold:        p.Hold.Seconds(),
	}
	if p.ServerCmd != "" {
		l.ServerSignal = p.ServerSignal
	}
	return l
}

// newResult starts the result of a run that begins now.
func newResult(scenario string, p *plan, now time.Time) *Result {
	r := &Result{
		Schema:   Schema,
		Scenario: scenario,
		Run:      p.run,
		Started:  now.UTC().Format(time.RFC3339Nano),
		Host:     probe.ThisHost(),
		Settings: settings(p),
		Failed:   []string{},
		Warnings: []string{},
		Series:   []Sample{},
	}
	if p.Foreign {
		r.NotMeasured = notMeasured()
	}
	return r
}
