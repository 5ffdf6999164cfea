package main

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/pushgate/pushgate/cmd/internal/configtext"
)

// tableKind is a list of structs, such as the rules for channels. A file has
// it as a YAML list; a variable or a flag holds the same as YAML in one line.
// It's a function, as kindOf and tableKind need each other.
func tableKind() kind {
	return kind{
		name: "rules", want: "a YAML list such as [{key: value}]",
		parse:  parseTable,
		format: formatTable,
	}
}

func formatTable(v reflect.Value) string {
	text, err := yaml.Marshal(flow(yamlTable(v)))
	if err != nil {
		panic(err) // nodes of our own making
	}
	return strings.TrimSpace(string(text))
}

// itemErrors are the things wrong inside a table, each after the key's name:
// "[2].ttl: ...".
type itemErrors []string

func (e itemErrors) Error() string { return strings.Join(e, ", ") }

func parseTable(text string, t reflect.Type) (any, error) {
	v, err := configtext.ParseValue(text)
	if err != nil {
		return nil, err
	}
	items, ok := v.([]any)
	if !ok && v != nil {
		return nil, errors.New("no list")
	}
	return readTable(items, t)
}

// itemFields returns a struct's fields as keys of their own.
func itemFields(t reflect.Type) keyTable { return appendKeys(nil, t, "", nil) }

// readTable turns YAML's mappings into a slice of type t. With itemErrors comes
// what could be read: the rest of it can still be judged.
func readTable(items []any, t reflect.Type) (any, error) {
	fields := itemFields(t.Elem())
	table := reflect.MakeSlice(t, len(items), len(items))
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
				bad = append(bad, fmt.Sprintf("[%d].%s: unknown key, want one of %s", i, name, fields))
				continue
			}
			value, err := f.read(item[name])
			if err != nil {
				bad = append(bad, fmt.Sprintf("[%d].%s: %s", i, name, notAllowed(name, item[name], f.kind, err)))
				continue
			}
			field := table.Index(i).FieldByIndex(f.index)
			field.Set(reflect.ValueOf(value).Convert(field.Type()))
		}
	}
	if len(bad) > 0 {
		return table.Interface(), bad
	}
	return table.Interface(), nil
}

// String lists the names.
func (t keyTable) String() string {
	names := make([]string, len(t))
	for i, k := range t {
		names[i] = k.name
	}
	return strings.Join(names, ", ")
}

// flow has a node and all in it written in one line.
func flow(node *yaml.Node) *yaml.Node {
	node.Style |= yaml.FlowStyle
	for _, inner := range node.Content {
		if inner.Kind != yaml.ScalarNode {
			flow(inner)
		}
	}
	return node
}
