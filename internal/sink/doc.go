// Package sink holds the two ways to write to a descriptor that a program was
// started with and whose other end it doesn't know. A Writer is for a log or a
// panel of a program that has better things to do: it never waits for the other
// end, nor fails with it. An Output is for a command whose output is its work,
// and whose reader may have read enough.
package sink

import (
	"os"
	"os/signal"
	"syscall"
)

// CatchBrokenPipes has a write to a pipe without a reader fail, with EPIPE. By
// default Go ends the process for one on standard output or standard error, even
// where SIGPIPE was ignored when the program was started. Programs that this one
// starts find the signal as it was.
func CatchBrokenPipes() {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // nobody receives, nobody closes
}
