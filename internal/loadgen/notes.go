package loadgen

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pushgate/pushgate/internal/loadgen/account"
)

// fail books a failure.
func (r *run) fail(format string, args ...any) {
	r.result.Failed = append(r.result.Failed, fmt.Sprintf(format, args...))
}

// warn books a caution for reading the figures.
func (r *run) warn(format string, args ...any) {
	r.result.Warnings = append(r.result.Warnings, fmt.Sprintf(format, args...))
}

// note records why a phase ended early; nil is the end that was hoped for.
func (r *run) note(doing string, err error) {
	switch {
	case err == nil:
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		if !r.result.Interrupted {
			r.result.Interrupted = true
			r.fail("interrupted while %s", doing)
		}
	case slices.ContainsFunc(r.result.Failed, func(f string) bool { return strings.HasSuffix(f, ": "+err.Error()) }):
		// A process that is gone fails every command: once is enough.
	default:
		r.fail("%s: %v", doing, err)
	}
}

// hints adds advice on the reasons of failed clients.
func (r *run) hints(failures ...account.Tally) {
	for _, h := range account.Hints(r.result.Settings.Foreign, failures...) {
		r.fail("%s", h)
	}
}
