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
	kind  kind
}

// get returns the key's value in s.
func (k key) get(s *settings) reflect.Value {
	return reflect.ValueOf(s).Elem().FieldByIndex(k.index)
}

// env returns the key's spelling as an environment variable.
func (k key) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(k.name, ".", "__"))
}

// section returns what stands before the last dot, "" at the top level.
func (k key) section() string {
	return k.name[:max(strings.LastIndexByte(k.name, '.'), 0)]
}

// keyTable holds every key in the order of the struct's fields.
type keyTable []key

// allKeys is made from the koanf tags of settings, so that a new field is a
// new key in the file, in the environment and on the command line.
var allKeys = sync.OnceValue(func() keyTable {
	return appendKeys(nil, reflect.TypeFor[settings](), "", nil)
})

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
			k := key{name: prefix + name, index: at, typ: field.Type}
			k.kind = kindOf(k.name, field.Type)
			table = append(table, k)
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
	var names []string
	for _, k := range t {
		if strings.HasPrefix(k.name, section+".") {
			names = append(names, k.name)
		}
	}
	return names
}

// nearest returns the key that an unknown name was probably meant to be: one
// that is at most two letters away, or the only one that ends with it, if it is
// all of the key in its section. A variable may have a single underscore in place
// of the dot.
func (t keyTable) nearest(name string) (key, bool) {
	name = strings.ReplaceAll(name, ".", "_")
	best, distance := key{}, 3
	var ends []key
	for _, k := range t {
		spelled := strings.ReplaceAll(k.name, ".", "_")
		if d := editDistance(spelled, name); d < distance {
			best, distance = k, d
		}
		if strings.HasSuffix(spelled, "_"+name) {
			ends = append(ends, k)
		}
	}
	if best.name == "" && len(ends) == 1 {
		if k := ends[0]; k.name[len(k.name)-len(name)-1] == '.' {
			best = k
		}
	}
	return best, best.name != ""
}

// editDistance counts the insertions, deletions and replacements of bytes
// that turn a into b.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
