package plan

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

const masked = "***"

// secretWords are in the names of possible secrets.
var secretWords = []string{"auth", "cookie", "token", "secret", "key", "password"}

// MaskField hides the value of a field that may be a secret.
func MaskField(field string) string {
	name, _, ok := strings.Cut(field, ":")
	if !ok {
		return masked
	}
	if namesSecret(name) {
		return name + ": " + masked
	}
	return field
}

// namesSecret reports whether a name, or a text, says that it's about a secret.
func namesSecret(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc(secretWords, func(word string) bool { return strings.Contains(name, word) })
}

// MaskSubprotocol hides a token that travels as a subprotocol.
func MaskSubprotocol(list string) string {
	parts := strings.Split(list, ",")
	for i, name := range parts {
		if strings.HasPrefix(strings.TrimSpace(name), "bearer.") {
			parts[i] = "bearer." + masked
		}
	}
	return strings.Join(parts, ",")
}

// maskFlags are the flags whose values may hold secrets, with how these are hidden.
var maskFlags = map[string]func(string) string{
	"header":      MaskField,
	"subprotocol": MaskSubprotocol,
	"url":         MaskURL,
	"redis":       MaskURL,
	"admin":       MaskURL,

	"publish-url":    MaskURL,
	"publish-header": MaskField,
	"publish-body":   MaskWords,
	"publish-cmd":    MaskWords,
	"hello":          MaskWords,

	"server-cmd": maskCommandLine,
	"agent":      maskCommandLine,
}

// MaskWords hides a text that may hold a secret.
func MaskWords(text string) string {
	if namesSecret(text) {
		return masked
	}
	return maskCommandLine(text)
}

var (
	// commandSecret matches flags and variables by their names, with their values.
	commandSecret = regexp.MustCompile(`(?i)([\w.-]*(?:token|secret|pass|password)[= ]|redis-cli\b.*?\s-a )("[^"]*"|'[^']*'|[^\s"']+)`)
	// commandUser matches the user and the password of a URL.
	commandUser = regexp.MustCompile(`(://[^\s:/@"']*):[^\s"']*@`)
)

// maskCommandLine hides the secrets of a shell's line, and leaves the rest.
func maskCommandLine(line string) string {
	line = commandSecret.ReplaceAllString(line, "${1}"+masked)
	return commandUser.ReplaceAllString(line, "${1}:"+masked+"@")
}

// MaskURL hides the secrets of a URL; an address without a scheme has none.
func MaskURL(text string) string {
	if !strings.Contains(text, ":/") && !strings.Contains(text, "@") {
		return text
	}
	return PrintableURL(text)
}

// MaskCommand hides the secrets of a command line, which is kept in the result.
func MaskCommand(args []string) []string {
	args = slices.Clone(args)
	for i, arg := range args {
		name, isFlag := strings.CutPrefix(arg, "--")
		if !isFlag {
			continue
		}
		name, value, joined := strings.Cut(name, "=")
		mask := maskFlags[name]
		switch {
		case mask == nil:
		case joined:
			args[i] = "--" + name + "=" + mask(value)
		case i+1 < len(args):
			args[i+1] = mask(args[i+1])
		}
	}
	return args
}

// PrintableURL leaves out possible secrets.
func PrintableURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "(not a URL)"
	}
	pairs := strings.Split(u.RawQuery, "&")
	for i, pair := range pairs {
		if name, _, ok := strings.Cut(pair, "="); ok && namesSecret(name) && !strings.HasSuffix(name, "_file") {
			pairs[i] = name + "=xxxxx"
		}
	}
	u.RawQuery = strings.Join(pairs, "&")
	return strings.NewReplacer("%7B", "{", "%7D", "}").Replace(u.Redacted())
}
