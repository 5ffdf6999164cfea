// Package capacity finds out what a gateway on this host can carry, and what a
// larger number of clients would cost.
//
// It runs the load engine in steps: connections first, each step against a
// fresh gateway where it can start one, then deliveries. Each step is judged by
// the SLOs; where they break, it halves the way to the last good step. Straight
// lines through the steps give the costs of a connection, of a heartbeat and of
// a delivery with the quality of the fit, and these the bill for the target:
// what was measured, what is extrapolated and how far, and which limit is hit
// first.
package capacity
