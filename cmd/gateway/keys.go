package main

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// key is one configuration key: a leaf of the settings struct.
type key struct {
	name  string // as written in a file, "limits.head_bytes"
	index []int  // the field in settings, for reflect.Value.FieldByIndex
	typ   reflect.Type
	kind  *kind
}

// get returns the key's value in s.
func (k key) get(s *settings) reflect.Value {
	return reflect.ValueOf(s).Elem().FieldByIndex(k.index)
}

// env returns the key's spelling as an environment variable.
func (k key) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(k.name, ".", "__"))
}

// section returns the name up to its last dot, "" at the top level, and the rest.
func (k key) section() (section, label string) {
	dot := strings.LastIndexByte(k.name, '.')
	return k.name[:max(dot, 0)], k.name[dot+1:]
}

// keyTable holds every key in the order of the struct's fields.
type keyTable []key

// allKeys is made from the koanf tags of settings, so that a new field is a
// new key in the file, in the environment and on the command line.
var allKeys = sync.OnceValue(func() keyTable {
	return appendKeys(nil, reflect.TypeFor[settings](), "", nil)
})

// itemKeys returns a struct's fields as keys of their own.
func itemKeys(t reflect.Type) keyTable { return appendKeys(nil, t, "", nil) }

func appendKeys(table keyTable, t reflect.Type, prefix string, index []int) keyTable {
	for i := range t.NumField() {
		field := t.Field(i)
		at := append(slices.Clone(index), i)
		name, option, _ := strings.Cut(field.Tag.Get("koanf"), ",")
		switch {
		case option == "squash":
			table = appendKeys(table, field.Type, prefix, at)
		case name == "":
			panic(fmt.Sprintf("configuration field %s.%s has no koanf tag", t, field.Name))
		case field.Type.Kind() == reflect.Struct:
			table = appendKeys(table, field.Type, prefix+name+".", at)
		default:
			table = append(table, key{prefix + name, at, field.Type, kindOf(prefix+name, field.Type)})
		}
	}
	return table
}

func (t keyTable) find(name string) (key, bool) {
	i := slices.IndexFunc(t, func(k key) bool { return k.name == name })
	if i < 0 {
		return key{}, false
	}
	return t[i], true
}

// under returns the names of the keys inside a section.
func (t keyTable) under(section string) []string {
	return slices.DeleteFunc(t.names(), func(name string) bool { return !strings.HasPrefix(name, section+".") })
}

func (t keyTable) names() []string {
	names := make([]string, len(t))
	for i, k := range t {
		names[i] = k.name
	}
	return names
}
