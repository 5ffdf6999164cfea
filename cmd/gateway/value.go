package main

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/pushgate/pushgate/cmd/internal/configtext"
)

// kind is how the values of a key are written and read.
type kind struct {
	name   string                         // stands for the value in the help, "bytes"
	want   string                         // the allowed values, for errors
	parse  func(text string) (any, error) // of one of the kinds below without lists
	format func(v reflect.Value) string
}

var (
	textKind = &kind{
		name: "text", want: "text",
		parse:  func(s string) (any, error) { return s, nil },
		format: reflect.Value.String,
	}
	boolKind = &kind{
		name: "bool", want: "true or false",
		parse:  parseBool,
		format: func(v reflect.Value) string { return strconv.FormatBool(v.Bool()) },
	}
	numberKind = &kind{
		name: "number", want: "a whole number",
		parse:  func(s string) (any, error) { return parseInt(s) },
		format: func(v reflect.Value) string { return strconv.FormatInt(v.Int(), 10) },
	}
	fractionKind = &kind{
		name: "fraction", want: "a number",
		parse:  parseFraction,
		format: func(v reflect.Value) string { return strconv.FormatFloat(v.Float(), 'g', -1, 64) },
	}
	bytesKind = &kind{
		name: "bytes", want: "bytes: a whole number, or one with KiB, MiB or GiB",
		parse:  parseBytes,
		format: func(v reflect.Value) string { return formatBytes(v.Int()) },
	}
	durationKind = &kind{
		name: "duration", want: "a duration such as 500ms, 30s or 2m",
		parse:  func(s string) (any, error) { return time.ParseDuration(s) },
		format: func(v reflect.Value) string { return formatDuration(time.Duration(v.Int())) },
	}
	listKind = &kind{
		name: "list", want: "a list: a, b or [a, b]",
		format: func(v reflect.Value) string { return strings.Join(v.Interface().([]string), ",") },
	}
	// recordsKind is a list of structs. A file has it as a YAML list; a variable or a
	// flag holds the same as YAML in one line.
	recordsKind = &kind{
		name: "yaml", want: "a YAML list such as [{key: value}]",
	}
)

// sizeKey matches the keys whose whole numbers are bytes.
var sizeKey = regexp.MustCompile(`[._](bytes|buffer)$`)

// kindOf chooses by the field's type, and sizes by the key's name.
func kindOf(name string, t reflect.Type) *kind {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return durationKind
	case t == reflect.TypeFor[[]string]():
		return listKind
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		return recordsKind
	case t.Kind() == reflect.String:
		return textKind
	case t.Kind() == reflect.Bool:
		return boolKind
	case t.Kind() == reflect.Float64:
		return fractionKind
	case t.Kind() == reflect.Int || t.Kind() == reflect.Int64:
		if sizeKey.MatchString(name) {
			return bytesKind
		}
		return numberKind
	}
	panic(fmt.Sprintf("configuration key %s: values of type %s can't be configured", name, t))
}

func parseFraction(s string) (any, error) {
	f, err := strconv.ParseFloat(s, 64)
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, strconv.ErrRange
	}
	return f, err
}

// parseBool takes the booleans of YAML. It is stricter than strconv, which
// also takes "T" and "1".
func parseBool(s string) (any, error) {
	switch s {
	case "true", "True", "TRUE":
		return true, nil
	case "false", "False", "FALSE":
		return false, nil
	}
	return nil, strconv.ErrSyntax
}

func parseInt(s string) (int64, error) {
	return strconv.ParseInt(strings.ReplaceAll(s, "_", ""), 10, 64)
}

// byteUnits are in the order in which formatBytes tries them.
var byteUnits = []struct {
	suffix string
	size   int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

func parseBytes(s string) (any, error) {
	size := int64(1)
	for _, u := range byteUnits {
		if rest, ok := strings.CutSuffix(s, u.suffix); ok {
			s, size = strings.TrimSpace(rest), u.size
			break
		}
	}
	n, err := parseInt(s)
	if err == nil && (n > math.MaxInt64/size || n < math.MinInt64/size) {
		err = strconv.ErrRange
	}
	return n * size, err
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

// text writes a value as it could be read back.
func (k *kind) text(v reflect.Value) string {
	if k != recordsKind {
		return k.format(v)
	}
	text, err := yaml.Marshal(flow(yamlRecords(v)))
	if err != nil {
		panic(err) // nodes of our own making
	}
	return strings.TrimSpace(string(text))
}

// wanted is an error of key.read that names the allowed values, where the kind's
// own words would not help.
type wanted string

func (w wanted) Error() string { return "want " + string(w) }

// read turns a source's value into the key's Go value: text, or from YAML
// also a list, a mapping or nothing. With itemErrors comes the part that could be
// read, and can still be judged.
func (k key) read(raw any) (any, error) {
	switch v := raw.(type) {
	case string:
		return k.readText(v)
	case []any:
		switch k.kind {
		case recordsKind:
			return readRecords(v, k.typ)
		case listKind:
			return readList(v)
		}
	}
	return nil, wanted(k.kind.want)
}

// readText reads text of any source, by the rules that configs/gateway.yaml
// begins with.
func (k key) readText(text string) (any, error) {
	switch k.kind {
	case listKind:
		list, err := configtext.List(text)
		if err != nil {
			return nil, err
		}
		return readList(list)
	case recordsKind:
		v, err := configtext.ParseValue(configtext.Trim(text))
		items, ok := v.([]any)
		if err != nil || !ok && v != nil {
			return nil, wanted(k.kind.want)
		}
		return readRecords(items, k.typ)
	}
	if !isSecret(k.name) {
		text = configtext.Trim(text)
	} else if text = configtext.TrimSecret(text); isFile(text) {
		return nil, wanted("the secret itself, and not the path of a file with it")
	}
	if k.kind == textKind {
		if err := configtext.Plain(text); err != nil {
			return nil, wanted(err.Error())
		}
	}
	v, err := k.kind.parse(text)
	if err != nil {
		return nil, err
	}
	return reflect.ValueOf(v).Convert(k.typ).Interface(), nil
}

// isFile reports whether a text is the path of a file that exists.
func isFile(text string) bool {
	if !filepath.IsAbs(text) {
		return false
	}
	_, err := os.Stat(text)
	return err == nil
}

func readList(raw []any) (any, error) {
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

// itemErrors are the things wrong inside a list of structs, each to be put after
// the key's name: "[2].ttl: ...".
type itemErrors []string

func (e itemErrors) Error() string { return strings.Join(e, ", ") }

// readRecords turns YAML's mappings into a slice of type t.
func readRecords(items []any, t reflect.Type) (any, error) {
	fields := itemKeys(t.Elem())
	records := reflect.MakeSlice(t, len(items), len(items))
	var bad itemErrors
	for i, raw := range items {
		item, ok := raw.(map[string]any)
		if !ok {
			bad = append(bad, fmt.Sprintf("[%d]: %s is not allowed, want keys and values", i, show(raw)))
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(item)) {
			f, known := fields.find(name)
			if !known {
				bad = append(bad, fmt.Sprintf("[%d].%s: unknown key, want one of %s", i, name, strings.Join(fields.names(), ", ")))
				continue
			}
			value, err := f.read(item[name])
			if err != nil {
				bad = append(bad, fmt.Sprintf("[%d].%s: %s", i, name, f.notAllowed(item[name], err)))
				continue
			}
			field := records.Index(i).FieldByIndex(f.index)
			field.Set(reflect.ValueOf(value).Convert(field.Type()))
		}
	}
	if len(bad) > 0 {
		return records.Interface(), bad
	}
	return records.Interface(), nil
}

// notAllowed describes a value that read refused.
func (k key) notAllowed(raw any, err error) string {
	want := wanted(k.kind.want)
	errors.As(err, &want)
	return fmt.Sprintf("%s is not allowed, want %s", maskValue(k.name, show(raw)), string(want))
}

// show writes a value the way errors quote it.
func show(raw any) string {
	switch v := raw.(type) {
	case nil:
		return "nothing"
	case string:
		return fmt.Sprintf("%q", v)
	}
	return fmt.Sprint(raw)
}
