package main

import (
	"regexp"
	"slices"
	"strings"
)

const masked = "***"

// urlPassword finds user:password@ in a URL. It is greedy, because a password
// may hold a colon, a slash or an at sign that its owner forgot to escape.
var urlPassword = regexp.MustCompile(`(://[^:@/\s"]*):[^\s"]*@`)

// queryPassword finds password=... in a URL, which with Sentinels is that of the
// server.
var queryPassword = regexp.MustCompile(`([?&]password=)[^&\s"]*`)

// maskPasswords hides the passwords of every URL in the text.
func maskPasswords(text string) string {
	text = urlPassword.ReplaceAllString(text, "$1:"+masked+"@")
	return queryPassword.ReplaceAllString(text, "$1"+masked)
}

// isSecret reports whether a key's value must not be shown.
func isSecret(name string) bool {
	return slices.ContainsFunc([]string{"token", "secret", "password"}, func(word string) bool {
		return strings.HasSuffix(name, word)
	})
}

// maskValue returns a key's value as it may be shown.
func maskValue(name, value string) string {
	if value != "" && isSecret(name) {
		return masked
	}
	return maskPasswords(value)
}
