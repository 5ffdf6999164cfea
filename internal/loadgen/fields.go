package loadgen

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// ownFields are the fields of a request that the transports write themselves.
var ownFields = []string{"connection", "upgrade", "sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions",
	"sec-websocket-protocol", "content-length", "transfer-encoding", "te", "expect", "last-event-id", "accept", "cache-control"}

// requestFields writes the fields that every request of the run begins with:
// Host and User-Agent, unless --header says others, --header and --origin.
func (c Config) requestFields(host string, u *usage) string {
	var all strings.Builder
	given := make(map[string]bool)
	for _, field := range c.Headers {
		name, value, ok := strings.Cut(field, ":")
		value = strings.TrimSpace(value)
		lower := strings.ToLower(name)
		switch {
		case !ok || !isToken(name):
			u.add("--header", "", "want 'Name: value'")
			continue
		case strings.ContainsFunc(value, isControl):
			u.add("--header", name, "line ends and control characters are not allowed in its value")
			continue
		case slices.Contains(ownFields, lower):
			u.add("--header", name, "loadgen writes this field itself%s", map[string]string{"sec-websocket-protocol": ": --subprotocol sets it"}[lower])
			continue
		case lower == "authorization" && c.JWTKey != "":
			u.add("--header", name, "--jwt-key gives each client one of its own; leave out one of the two")
			continue
		case lower == "origin" && c.Origin != "":
			u.add("--header", name, "--origin says it already; leave out one of the two")
			continue
		}
		given[lower] = true
		fmt.Fprintf(&all, "%s: %s\r\n", name, value)
	}
	if c.Origin != "" {
		if strings.ContainsFunc(c.Origin, isControl) || strings.Contains(c.Origin, " ") {
			u.add("--origin", fmt.Sprintf("%q", c.Origin), "want an origin such as https://app.example, as a browser sends it")
		}
		fmt.Fprintf(&all, "Origin: %s\r\n", c.Origin)
	}
	first := ""
	if !given["host"] {
		first = "Host: " + host + "\r\n"
	}
	if !given["user-agent"] {
		first += "User-Agent: loadgen\r\n"
	}
	return first + all.String()
}

// subprotocols reads --subprotocol.
func (c Config) subprotocols(kinds []Transport, u *usage) (all []string) {
	if c.Subprotocol == "" {
		return nil
	}
	if !slices.Contains(kinds, WebSocket) {
		u.add("--subprotocol", maskSubprotocol(c.Subprotocol), "only WebSockets have one, and --transport has none")
	}
	for name := range strings.SplitSeq(c.Subprotocol, ",") {
		name = strings.TrimSpace(name)
		if !isToken(name) {
			u.add("--subprotocol", maskSubprotocol(c.Subprotocol), "want names such as pushgate.v1, comma separated")
			return nil
		}
		all = append(all, name)
	}
	return all
}

// isToken reports whether text is a token as RFC 9110 section 5.6.2 has it.
func isToken(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(c rune) bool {
		return c <= ' ' || c > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, c)
	})
}

func isControl(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }

const masked = "***"

// secretWords are in the names of what may be secret.
var secretWords = []string{"auth", "cookie", "token", "secret", "key", "password"}

// maskField hides the value of a field that may be a secret.
func maskField(field string) string {
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

// maskSubprotocol hides a token that travels as a subprotocol.
func maskSubprotocol(list string) string {
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
	"header":      maskField,
	"subprotocol": maskSubprotocol,
	"url":         maskURL,
	"redis":       maskURL,
	"admin":       maskURL,

	"publish-url":    maskURL,
	"publish-header": maskField,
	"publish-body":   maskWords,
	"publish-cmd":    maskWords,
	"hello":          maskWords,

	"server-cmd": maskCommandLine,
	"agent":      maskCommandLine,
}

// maskWords hides a text that may hold a secret.
func maskWords(text string) string {
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

// maskURL hides the secrets of a URL; an address without a scheme has none.
func maskURL(text string) string {
	if !strings.Contains(text, ":/") && !strings.Contains(text, "@") {
		return text
	}
	return printableURL(text)
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
