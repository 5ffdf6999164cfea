// Package report shows what runs of the load engine found: as a panel on the
// terminal while they go on, as a directory of files afterwards, as a page for
// a browser, and side by side.
//
// A run directory holds
//
//	run.json     the whole result, schema loadgen.Schema
//	series.csv   one line for each second
//	latency.hlog every latency of every second, in HdrHistogram's log format
//	report.html  one page with everything in it; made from the other three
package report
