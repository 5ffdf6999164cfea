package configtext

import (
	"errors"
	"regexp"
	"strings"
)

// byteOrderMark begins the files of some editors.
const byteOrderMark = "\ufeff"

// Trim returns a value as it is meant: without the white space around it and the
// line end that a file or a shell's output ends with.
func Trim(text string) string {
	return strings.TrimSpace(strings.TrimPrefix(text, byteOrderMark))
}

// TrimSecret returns a secret as it is meant: less one line end, while other
// white space is the secret's own.
func TrimSecret(text string) string {
	text = strings.TrimPrefix(text, byteOrderMark)
	return strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
}

// template matches a variable that some program before this one should have replaced.
var template = regexp.MustCompile(`\$\{[^}]*\}|\{\{.*\}\}|^\$[A-Za-z_]\w*$`)

// Plain refuses text that can't be meant as it stands: with the quotes of a file
// of variables whose reader doesn't take them off, as docker --env-file, and with
// a variable that nothing has replaced.
func Plain(text string) error {
	if n := len(text); n > 1 && (text[0] == '"' || text[0] == '\'') && text[n-1] == text[0] {
		return errors.New("it without the quotes, which are a part of the value here")
	}
	if template.MatchString(text) {
		return errors.New("the value itself: variables are not replaced here")
	}
	return nil
}

// List reads a list in one line: with commas between the items, or in the
// brackets of YAML and JSON.
func List(text string) ([]any, error) {
	text = Trim(text)
	if strings.HasPrefix(text, "[") {
		v, err := ParseValue(text)
		if err != nil {
			return nil, err
		}
		list, ok := v.([]any)
		if !ok {
			return nil, errors.New("begins with [ and is no list")
		}
		return list, nil
	}
	list := []any{}
	for item := range strings.SplitSeq(text, ",") {
		if item = Trim(item); item != "" {
			list = append(list, item)
		}
	}
	return list, nil
}
