package main

import (
	"regexp"
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

// maskValue returns a key's value as it may be shown.
func maskValue(name, value string) string {
	for _, word := range []string{"token", "secret", "password"} {
		if value != "" && strings.HasSuffix(name, word) {
			return masked
		}
	}
	return maskPasswords(value)
}
