package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"
)

var errObject = errors.New("not a JSON object in UTF-8")

// eachMember calls fn for each member of the JSON object in data, with the
// name decoded and the value as it is written. The slices belong to data.
//
// It stands in for json.Unmarshal into a struct, which would take "SUB" and
// "Sub" for "sub" (names are case-sensitive, RFC 7519 section 4), can't see
// that a member came twice, and costs 1.8 us and 13 allocations for common
// claims where this takes 0.5 us and none (BenchmarkClaims).
func eachMember(data []byte, fn func(name, value []byte) error) error {
	if !utf8.Valid(data) || !json.Valid(data) {
		return errObject
	}
	// From here on the syntax is known to be right.
	i := skipSpace(data, 0)
	if data[i] != '{' {
		return errObject
	}
	for i = skipSpace(data, i+1); data[i] != '}'; {
		end := stringEnd(data, i)
		name := data[i+1 : end-1]
		if bytes.IndexByte(name, '\\') >= 0 {
			decoded, _ := unquote(data[i:end])
			name = []byte(decoded)
		}
		i = skipSpace(data, skipSpace(data, end)+1)
		end = valueEnd(data, i)
		if err := fn(name, data[i:end]); err != nil {
			return err
		}
		if i = skipSpace(data, end); data[i] == ',' {
			i = skipSpace(data, i+1)
		}
	}
	return nil
}

func skipSpace(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\t' || data[i] == '\n' || data[i] == '\r') {
		i++
	}
	return i
}

// stringEnd returns the index after the string that starts at i.
func stringEnd(data []byte, i int) int {
	for i++; data[i] != '"'; i++ {
		if data[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// valueEnd returns the index after the value that starts at i.
func valueEnd(data []byte, i int) int {
	depth := 0
	for {
		switch data[i] {
		case '"':
			i = stringEnd(data, i)
		case '{', '[':
			depth++
			i++
		case '}', ']':
			depth--
			i++
		case ',', ':', ' ', '\t', '\n', '\r':
			i++
			continue
		default:
			for i < len(data) && bytes.IndexByte([]byte(",:]} \t\n\r"), data[i]) < 0 {
				i++
			}
		}
		if depth == 0 {
			return i
		}
	}
}

// unquote decodes a JSON string; ok is false for a value of another type.
func unquote(value []byte) (s string, ok bool) {
	if value[0] != '"' {
		return "", false
	}
	if bytes.IndexByte(value, '\\') < 0 {
		return string(value[1 : len(value)-1]), true
	}
	return s, json.Unmarshal(value, &s) == nil
}
