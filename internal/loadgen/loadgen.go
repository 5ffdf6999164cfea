// Package loadgen is a load engine for push gateways: it holds many clients
// with a few event loops, publishes through Redis, and accounts for every
// message of every subscription.
//
// It speaks only the wire, so that its figures owe nothing to the code they
// judge. A run is a scenario (Idle, Fanout, RunStorm, RunChurn, RunSlow,
// RunMixed) over a Config; its outcome is a Result, which the command prints
// as a table or as JSON.
//
//	plan     Config, checked against the abilities of the host
//	client   loops of clients behind one of three transports
//	agent    the same in other processes, here or on other hosts
//	publish  Redis, HTTP or a command, to send the messages
//	account  ledgers, counters, latencies and reasons
//	result   the outcome: figures, limits for them, tables
//
// This package runs the scenarios: it commands clients and publisher, samples the
// server and the kernel, and judges the outcome.
package loadgen
