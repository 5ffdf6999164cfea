package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/pushgate/pushgate/cmd/internal/configtext"
)

// kind is how the values of a key are written and read.
type kind struct {
	name   string                                         // stands for the value in the help, "bytes"
	want   string                                         // what is allowed, for errors
	parse  func(text string, t reflect.Type) (any, error) // not of a list
	format func(v reflect.Value) string
}

var (
	textKind = kind{
		name: "text", want: "text",
		parse:  func(s string, _ reflect.Type) (any, error) { return s, nil },
		format: reflect.Value.String,
	}
	boolKind = kind{
		name: "bool", want: "true or false",
		parse:  parseBool,
		format: func(v reflect.Value) string { return strconv.FormatBool(v.Bool()) },
	}
	numberKind = kind{
		name: "number", want: "a whole number",
		parse:  parseNumber,
		format: func(v reflect.Value) string { return strconv.FormatInt(v.Int(), 10) },
	}
	fractionKind = kind{
		name: "fraction", want: "a number",
		parse:  parseFraction,
		format: func(v reflect.Value) string { return strconv.FormatFloat(v.Float(), 'g', -1, 64) },
	}
	bytesKind = kind{
		name: "bytes", want: "bytes: a whole number, or one with KiB, MiB or GiB",
		parse:  parseBytes,
		format: func(v reflect.Value) string { return formatBytes(v.Int()) },
	}
	durationKind = kind{
		name: "duration", want: "a duration such as 500ms, 30s or 2m",
		parse:  func(s string, _ reflect.Type) (any, error) { return time.ParseDuration(s) },
		format: func(v reflect.Value) string { return formatDuration(time.Duration(v.Int())) },
	}
	listKind = kind{
		name: "list", want: "a list: a, b or [a, b]",
		format: func(v reflect.Value) string { return strings.Join(v.Interface().([]string), ",") },
	}
)

// sizeKey matches the keys whose whole numbers are bytes.
var sizeKey = regexp.MustCompile(`[._](bytes|buffer)$`)

// kindOf chooses by the field's type, and sizes by the key's name.
func kindOf(name string, t reflect.Type) kind {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return durationKind
	case t == reflect.TypeFor[[]string]():
		return listKind
	case isTable(t):
		return tableKind()
	}
	switch t.Kind() {
	case reflect.String:
		return textKind
	case reflect.Bool:
		return boolKind
	case reflect.Float64:
		return fractionKind
	case reflect.Int, reflect.Int64:
		if sizeKey.MatchString(name) {
			return bytesKind
		}
		return numberKind
	}
	panic(fmt.Sprintf("configuration key %s: values of type %s can't be configured", name, t))
}

func isTable(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct
}

func parseFraction(s string, _ reflect.Type) (any, error) {
	f, err := strconv.ParseFloat(s, 64)
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, strconv.ErrRange
	}
	return f, err
}

// parseBool takes what YAML calls a boolean. It is stricter than strconv, which
// also takes "T" and "1".
func parseBool(s string, _ reflect.Type) (any, error) {
	switch s {
	case "true", "True", "TRUE":
		return true, nil
	case "false", "False", "FALSE":
		return false, nil
	}
	return nil, strconv.ErrSyntax
}

func parseNumber(s string, t reflect.Type) (any, error) {
	n, err := strconv.ParseInt(strings.ReplaceAll(s, "_", ""), 10, t.Bits())
	if err != nil {
		return nil, err
	}
	return reflect.ValueOf(n).Convert(t).Interface(), nil
}

// byteUnits are in the order in which formatBytes tries them.
var byteUnits = []struct {
	suffix string
	size   int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

func parseBytes(s string, t reflect.Type) (any, error) {
	size := int64(1)
	for _, u := range byteUnits {
		if rest, ok := strings.CutSuffix(s, u.suffix); ok {
			s, size = strings.TrimSpace(rest), u.size
			break
		}
	}
	n, err := strconv.ParseInt(strings.ReplaceAll(s, "_", ""), 10, 64)
	if err != nil {
		return nil, err
	}
	if n > math.MaxInt64/size || n < math.MinInt64/size {
		return nil, strconv.ErrRange
	}
	return reflect.ValueOf(n * size).Convert(t).Interface(), nil
}

func formatBytes(n int64) string {
	for _, u := range byteUnits {
		if n != 0 && n%u.size == 0 {
			return strconv.FormatInt(n/u.size, 10) + u.suffix
		}
	}
	return strconv.FormatInt(n, 10)
}

// formatDuration leaves out the zero parts that time.Duration writes: 1m for
// 1m0s.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// wanted is an error of key.read that says what to write, where the kind's own
// words would not help.
type wanted string

func (w wanted) Error() string { return "want " + string(w) }

// read turns what a source delivered into the key's Go value: text, or from YAML
// also a list, a mapping or nothing.
func (k key) read(raw any) (any, error) {
	switch v := raw.(type) {
	case string:
		return k.readText(v)
	case []any:
		if isTable(k.typ) {
			return readTable(v, k.typ)
		}
		return k.readList(v)
	}
	return nil, wanted(k.kind.want)
}

// readText reads text of any source, by the rules that configs/gateway.yaml
// begins with.
func (k key) readText(text string) (any, error) {
	if k.kind.name == listKind.name {
		list, err := configtext.List(text)
		if err != nil {
			return nil, err
		}
		return k.readList(list)
	}
	if !isSecret(k.name) {
		text = configtext.Trim(text)
	} else if text = configtext.TrimSecret(text); isFile(text) {
		return nil, wanted("the secret itself, and not the path of a file with it")
	}
	if k.kind.name == textKind.name {
		if err := configtext.Plain(text); err != nil {
			return nil, wanted(err.Error())
		}
	}
	return k.kind.parse(text, k.typ)
}

// isFile reports whether a text is the path of a file that exists.
func isFile(text string) bool {
	if !filepath.IsAbs(text) {
		return false
	}
	_, err := os.Stat(text)
	return err == nil
}

func (k key) readList(raw []any) (any, error) {
	if k.kind.name != listKind.name {
		return nil, wanted(k.kind.want)
	}
	list := make([]string, len(raw))
	for i, item := range raw {
		text, ok := item.(string)
		if item == nil { // YAML's null, or an item that was left empty
			return nil, wanted(`a list of text, and "null" in quotes`)
		}
		if !ok {
			return nil, wanted("a list of text")
		}
		list[i] = configtext.Trim(text)
		if err := configtext.Plain(list[i]); err != nil {
			return nil, wanted(err.Error())
		}
	}
	return list, nil
}
