package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/pushgate/pushgate/cmd/internal/configtext"
)

// rawFlag is a configuration key on the command line. It keeps the text: the
// values of all sources are read in one place, and all errors come at once.
type rawFlag struct {
	texts []string // of a list each that was given, else the last
	kind  kind
}

func (f *rawFlag) String() string { return strings.Join(f.texts, ",") }
func (f *rawFlag) Type() string   { return f.kind.name }

// Set takes a value. A list that is given again goes on.
func (f *rawFlag) Set(s string) error {
	if f.kind.name != listKind.name {
		f.texts = nil
	}
	f.texts = append(f.texts, s)
	return nil
}

// value returns what was given: text, or the items of a list.
func (f *rawFlag) value() any {
	if f.kind.name != listKind.name {
		return f.String()
	}
	items := []any{}
	for _, text := range f.texts {
		list, err := configtext.List(text)
		if err != nil {
			return text // to be refused as it stands
		}
		items = append(items, list...)
	}
	return items
}

// addKeyFlags adds one flag for each configuration key. A command's own flag
// of the same name comes before it.
func addKeyFlags(fs *pflag.FlagSet) {
	for _, k := range allKeys() {
		if fs.Lookup(k.name) != nil {
			continue
		}
		f := fs.VarPF(&rawFlag{kind: k.kind}, k.name, "", "")
		if k.kind.name == boolKind.name {
			f.NoOptDefVal = "true"
		}
	}
}

// isKeyFlag reports whether a flag is a configuration key.
func isKeyFlag(f *pflag.Flag) bool {
	_, ok := f.Value.(*rawFlag)
	return ok
}

// withoutFlag returns args without the first --name and, like pflag where it
// is told to skip what it doesn't know, without the value behind it.
func withoutFlag(args []string, name string) []string {
	i := slices.IndexFunc(args, func(a string) bool { return a == "--"+name || strings.HasPrefix(a, "--"+name+"=") })
	if i < 0 {
		panic("pflag refused --" + name + ", which is not there")
	}
	end := i + 1
	if args[i] == "--"+name && end < len(args) && !strings.HasPrefix(args[end], "-") {
		end++
	}
	return slices.Concat(args[:i], args[end:])
}

// flagErrorText adds to an unknown flag the one that was probably meant.
func flagErrorText(err error) string {
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		name := unknown.GetSpecifiedName()
		text := "unknown flag --" + name
		if unknown.GetSpecifiedShortnames() != "" {
			text = fmt.Sprintf("unknown flag -%s in -%s", name, unknown.GetSpecifiedShortnames())
		} else if near, ok := allKeys().nearest(strings.ReplaceAll(name, "-", "_")); ok {
			text += ", did you mean --" + near.name + "?"
		}
		return text
	}
	return err.Error()
}
