package main

import (
	"fmt"
	"slices"
	"strings"
)

// problem is one thing wrong with the configuration.
type problem struct {
	text   string // names the key, the value and what is allowed
	origin string // where it was set: file and line, variable or flag; may be empty
}

// fileError is a configuration file that can't be read at all.
type fileError struct{ error }

func (e fileError) Unwrap() error { return e.error }

// configError holds everything that is wrong, so that one run shows it all.
type configError []problem

func (e configError) Error() string {
	var b strings.Builder
	b.WriteString("the configuration has an error:")
	if len(e) > 1 {
		b.Reset()
		fmt.Fprintf(&b, "the configuration has %d errors:", len(e))
	}
	for _, p := range e {
		b.WriteString("\n  " + maskPasswords(p.text))
		if p.origin != "" {
			b.WriteString(" (" + p.origin + ")")
		}
	}
	return b.String()
}

// add appends the errors of a Validate method. Their text starts with the
// key, by which the place that set it is found. What could not be read is not
// judged again.
func (e configError) add(err error, origins map[string]string) configError {
	if err == nil {
		return e
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range joined.Unwrap() {
			e = e.add(one, origins)
		}
		return e
	}
	name, _, _ := strings.Cut(err.Error(), ": ")
	if slices.ContainsFunc(e, func(p problem) bool { return p.covers(name) }) {
		return e
	}
	name, _, _ = strings.Cut(name, "[") // an item of a list
	return append(e, problem{text: err.Error(), origin: origins[name]})
}

// covers reports whether the problem is with the key, or with what holds it:
// channels[0] holds channels[0].match.
func (p problem) covers(name string) bool {
	key, _, _ := strings.Cut(p.text, ": ")
	rest, ok := strings.CutPrefix(name, key)
	return ok && strings.Contains(key, "[") && (rest == "" || rest[0] == '.')
}
