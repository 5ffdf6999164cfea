package loadgen

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/result"
)

// notes books a run's failures and warnings.
type notes struct{ result *result.Result }

func (n notes) fail(format string, args ...any) {
	n.result.Failed = append(n.result.Failed, fmt.Sprintf(format, args...))
}

func (n notes) warn(format string, args ...any) {
	n.result.Warnings = append(n.result.Warnings, fmt.Sprintf(format, args...))
}

// note records why a phase ended early; nil is the end that was hoped for.
func (n notes) note(doing string, err error) {
	switch {
	case err == nil:
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		if !n.result.Interrupted {
			n.result.Interrupted = true
			n.fail("interrupted while %s", doing)
		}
	case slices.ContainsFunc(n.result.Failed, func(f string) bool { return strings.HasSuffix(f, ": "+err.Error()) }):
		// A process that is gone fails every command: once is enough.
	default:
		n.fail("%s: %v", doing, err)
	}
}

// hints adds advice on the reasons of failed clients.
func (n notes) hints(failures ...account.Tally) {
	for _, h := range account.Hints(n.result.Settings.Foreign, failures...) {
		n.fail("%s", h)
	}
}
