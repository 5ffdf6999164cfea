// Package account keeps the accounts of a run: which message reached which subscription,
// counters of the clients, reasons of failures, latencies. It has no sockets, clocks or
// goroutines.
package account

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
)

// Counters count the events of the clients. They only grow, but for Open, Away
// and Heard.
type Counters struct {
	Attempted   uint64 `json:"attempted"`
	Untried     uint64 `json:"untried"`     // given up because none of the first succeeded
	Established uint64 `json:"established"` // handshake complete
	Ready       uint64 `json:"ready"`       // and all channels confirmed, each time
	Clients     uint64 `json:"clients"`     // that were ready, each once however often it connected
	Failed      uint64 `json:"failed"`      // attempts of clients that never were ready
	Retried     uint64 `json:"retried"`     // failed attempts of clients that had been ready before
	Lost        uint64 `json:"lost"`        // ended after ready, not by the run or a proxy
	Open        uint64 `json:"open"`        // established now

	Closed          uint64 `json:"closed"`           // ended by the run before its end, cut ones too
	Cut             uint64 `json:"cut"`              // of them without a word
	Churned         uint64 `json:"churned"`          // of them to be opened again
	Returned        uint64 `json:"returned"`         // ready again
	LateConnects    uint64 `json:"late_connects"`    // begun more than 5 ms after they were due
	SkippedConnects uint64 `json:"skipped_connects"` // slots of the churn without a client to close, or too late
	SlowLost        uint64 `json:"slow_lost"`        // slow clients that ended, not by the run

	Renewed       uint64 `json:"renewed"`        // polls that went on over a new connection, the old one having ended with its answer
	Deferred      uint64 `json:"deferred"`       // answers that asked a client to retry later
	ProxyCut      uint64 `json:"proxy_cut"`      // connections of ready clients that ended while a proxy was between
	ProxyReturned uint64 `json:"proxy_returned"` // of those clients, ready again
	ProxyRetried  uint64 `json:"proxy_retried"`  // their failed attempts
	Away          uint64 `json:"away"`           // of those clients, not back after five seconds

	Delivered   uint64 `json:"delivered"` // each message of each subscription once
	Duplicated  uint64 `json:"duplicated"`
	Replayed    uint64 `json:"replayed"`    // beside them, to event streams of several channels that reconnected
	Reordered   uint64 `json:"reordered"`   // delivered, but after a later one
	Moved       uint64 `json:"moved"`       // of the delivered, to clients that the run cuts
	Aside       uint64 `json:"aside"`       // to clients that aren't accounted for: slow ones, churned ones
	Misdirected uint64 `json:"misdirected"` // of a channel that the client has not
	Damaged     uint64 `json:"damaged"`     // of this run, but not as sent
	Foreign     uint64 `json:"foreign"`     // not of this run
	// Of a foreign server: subscriptions that received a trial message, and frames without a
	// message of the run.
	Heard   uint64 `json:"heard,omitempty"`
	Other   uint64 `json:"other,omitempty"`
	Unknown uint64 `json:"unknown"` // not in the wire's format

	Gaps   uint64 `json:"gaps"`
	Byes   uint64 `json:"byes"`
	Errors uint64 `json:"errors"` // error messages to ready clients
	Pings  uint64 `json:"pings"`  // heartbeats seen
	Bytes  uint64 `json:"bytes"`  // received, over HTTP and WebSocket framing; with TLS, as encrypted

	TLSHandshakes uint64 `json:"tls_handshakes,omitempty"`
	TLSTime       uint64 `json:"tls_handshake_ns,omitempty"` // that loadgen's loops spent on them
}

// Settled is the number of attempts that have ended.
func (c *Counters) Settled() uint64 {
	return c.Ready - c.ProxyReturned + c.Failed + c.Retried + c.Untried
}

// Add adds the counters of others.
func (c *Counters) Add(o *Counters) { AddNumbers(c, o) }

// Subtract leaves the difference to an earlier reading.
func (c *Counters) Subtract(before *Counters) { sum(c, before, -1) }

// AddNumbers adds the numeric fields of one struct to another of its type. Other fields stay.
func AddNumbers[T any](to, from *T) { sum(to, from, 1) }

func sum[T any](to, from *T, factor int64) {
	into, of := reflect.ValueOf(to).Elem(), reflect.ValueOf(from).Elem()
	for i := range into.NumField() {
		switch f := into.Field(i); {
		case f.CanInt():
			f.SetInt(f.Int() + factor*of.Field(i).Int())
		case f.CanUint():
			f.SetUint(f.Uint() + uint64(factor)*of.Field(i).Uint())
		case f.CanFloat():
			f.SetFloat(f.Float() + float64(factor)*of.Field(i).Float())
		}
	}
}

// Totals decide how a run goes on: the loops show them between two collections.
type Totals struct {
	Settled, Open, Delivered  uint64
	Moved, Returned, Cut      uint64
	Heard, Away, Up, MoversUp int64
	Leaving                   int64 // still to be closed, or not gone yet
	Latest                    int64 // of the last delivery, ns
}

// Nobody reports whether no client is there, nor on its way back.
func (t *Totals) Nobody() bool { return t.Up == 0 && t.Away == 0 }

// Add sums up the totals of several loops or processes.
func (t *Totals) Add(o *Totals) {
	latest := max(t.Latest, o.Latest)
	AddNumbers(t, o)
	t.Latest = latest
}

// Address is one of several addresses of the target.
type Address struct {
	Address string `json:"address"`
	Clients uint64 `json:"clients"` // that were ready, each once
	Failed  uint64 `json:"failed"`  // attempts of clients that never were
	Lost    uint64 `json:"lost"`    // connections of ready clients that ended, not by the run
}

// AddAddresses sums up accounts by their address: another host may know other
// ones by the same name.
func AddAddresses(all, more []Address) []Address {
	for _, x := range more {
		i := slices.IndexFunc(all, func(y Address) bool { return y.Address == x.Address })
		if i < 0 {
			all = append(all, x)
			continue
		}
		AddNumbers(&all[i], &x)
	}
	slices.SortFunc(all, func(a, b Address) int { return cmp.Compare(a.Address, b.Address) })
	return all
}

// Account writes how the clients fared there.
func (a Address) Account() string {
	return fmt.Sprintf("%d ready, %d failed, %d lost", a.Clients, a.Failed, a.Lost)
}
