// Package loadgen is a load engine for push gateways: it holds many clients
// with a few event loops, publishes through Redis, and accounts for every
// message of every subscription.
//
// It speaks only the wire, so that its figures owe nothing to the code they
// judge. A run is a scenario (Idle, Fanout, RunStorm, RunChurn, RunSlow,
// RunMixed) over a Config; its outcome is a Result, which the command prints
// as a table or as JSON.
//
//	Config -> plan      what was asked, checked against what the host can do
//	plan -> engine      loops of clients behind one of three transports
//	order -> engine     what the clients are told, here or in other processes
//	engine -> snapshot  counters and histograms, merged over the loops
//	snapshot -> Result  with the server's process on the same time axis
package loadgen
