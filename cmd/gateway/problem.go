package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// problem is one thing wrong with the configuration.
type problem struct {
	text   string // names the key, the value and the allowed ones
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
// key, by which the place that set it is found. A value that could not be read is
// not judged again.
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

// covers reports whether the problem is with the key, or with a list that holds
// it: channels[0] holds channels[0].match.
func (p problem) covers(name string) bool {
	key, _, _ := strings.Cut(p.text, ": ")
	rest, ok := strings.CutPrefix(name, key)
	return ok && strings.Contains(key, "[") && (rest == "" || rest[0] == '.')
}

const masked = "***"

// urlPassword finds user:password@ in a URL. It is greedy, because a password
// may hold a colon, a slash or an at sign that its owner forgot to escape.
var urlPassword = regexp.MustCompile(`(://[^:@/\s"]*):[^\s"]*@`)

// queryPassword finds password=... in a URL, the server's password with Sentinels.
var queryPassword = regexp.MustCompile(`([?&]password=)[^&\s"]*`)

// maskPasswords hides the passwords of every URL in the text.
func maskPasswords(text string) string {
	text = urlPassword.ReplaceAllString(text, "$1:"+masked+"@")
	return queryPassword.ReplaceAllString(text, "$1"+masked)
}

// secretKey matches the keys whose values must not be shown.
var secretKey = regexp.MustCompile(`(token|secret|password)$`)

func isSecret(name string) bool { return secretKey.MatchString(name) }

// maskValue returns a key's value as it may be shown.
func maskValue(name, value string) string {
	if value != "" && isSecret(name) {
		return masked
	}
	return maskPasswords(value)
}
