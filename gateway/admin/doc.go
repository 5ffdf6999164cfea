// Package admin is the operator's HTTP interface: who may call it, how
// requests are read, and how answers and errors are written. What is asked for
// is done by the gateway behind small interfaces.
package admin
