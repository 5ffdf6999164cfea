package main

import (
	"regexp"
	"strings"
)

const masked = "***"

// urlPassword finds user:password@ in a URL. It is greedy, because a password
// may hold a colon, a slash or an at sign that its owner forgot to escape.
var urlPassword = regexp.MustCompile(`(://[^:@/\s"]*):[^\s"]*@`)

// maskPasswords hides the password of every URL in the text.
func maskPasswords(text string) string {
	return urlPassword.ReplaceAllString(text, "$1:"+masked+"@")
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
