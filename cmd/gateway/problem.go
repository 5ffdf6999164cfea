package main

import (
	"fmt"
	"strings"
)

// problem is one thing wrong with the configuration.
type problem struct {
	text   string // names the key, the value and what is allowed
	origin string // where it was set: file and line, variable or flag; may be empty
}

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
// key, by which the place that set it is found.
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
	name, _, _ = strings.Cut(name, "[") // an item of a list
	return append(e, problem{text: err.Error(), origin: origins[name]})
}
