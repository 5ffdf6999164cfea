// Package jsontext reads JSON objects that clients and operators write, and
// describes errors in JSON's words: encoding/json speaks of Go's types.
package jsontext

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"reflect"
	"strings"
)

// Decode reads the one JSON value that text is into v. A field that v doesn't
// have is an error: a slip in a name must not pass for a field left out.
func Decode(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return Explain(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("more follows behind it")
	}
	return nil
}

// Explain returns an error of encoding/json in words for whoever wrote the text.
func Explain(err error) error {
	var typed *json.UnmarshalTypeError
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("it is empty")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("it ends too early")
	case errors.As(err, &typed):
		name := typed.Field
		if name == "" {
			name = "it"
		}
		given, _, _ := strings.Cut(typed.Value, " ") // a number comes with its digits
		return fmt.Errorf("%s is to be %s, not %s", name, wanted(typed.Type), values[given])
	}
	return errors.New(strings.TrimPrefix(err.Error(), "json: "))
}

// values are the kinds of JSON values by encoding/json's words for them.
var values = map[string]string{
	"string": "a string", "number": "such a number", "bool": "true or false", "array": "an array", "object": "an object",
}

// wanted says which kind of value fits a type.
func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Struct, reflect.Map:
		return "an object"
	}
	return "a whole number"
}

// Fields goes through the keys and values of a JSON object that is known to be
// valid, as they are spelled. Nothing of any other value.
func Fields(object []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		rest := bytes.TrimSpace(object)
		if len(rest) == 0 || rest[0] != '{' {
			return
		}
		for rest = rest[1:]; ; rest = rest[1:] {
			rest = bytes.TrimLeft(rest, " \t\r\n")
			if len(rest) == 0 || rest[0] != '"' {
				return
			}
			n := endOf(rest)
			key := rest[1 : n-1]
			_, rest, _ = bytes.Cut(rest[n:], []byte(":"))
			rest = bytes.TrimLeft(rest, " \t\r\n")
			n = endOf(rest)
			value := bytes.TrimRight(rest[:n], " \t\r\n")
			rest = bytes.TrimLeft(rest[n:], " \t\r\n")
			if !yield(key, value) || len(rest) == 0 || rest[0] != ',' {
				return
			}
		}
	}
}

// endOf returns where the value that text begins with ends: behind a string, at
// the comma or bracket after anything else.
func endOf(text []byte) int {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch b := text[i]; {
		case quoted && b == '\\':
			i++
		case b == '"':
			if quoted = !quoted; !quoted && depth == 0 {
				return i + 1
			}
		case quoted:
		case b == '{' || b == '[':
			depth++
		case (b == '}' || b == ']') && depth > 0:
			depth--
		case depth == 0 && (b == ',' || b == '}'):
			return i
		}
	}
	return len(text)
}
