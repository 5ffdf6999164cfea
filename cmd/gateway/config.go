package main

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"

	"github.com/pushgate/pushgate/cmd/internal/configtext"
)

const (
	envPrefix = "GATEWAY_"
	envConfig = envPrefix + "CONFIG"
)

// loaded is a configuration and where its values came from.
type loaded struct {
	settings settings
	origins  map[string]string // by key; keys that kept their default are absent
	foreign  []string          // variables that look like keys and are somebody else's
}

// layer is one source of values, in ascending order of precedence: the file,
// the environment, the flags.
type layer struct {
	values map[string]any           // by key, as the source delivered them
	origin func(name string) string // where a key was set
	spell  func(k key) string       // how this source writes a key
}

// load merges defaults, file, environment and flags, and validates the result
// with the given method. Its error is a configError that holds everything wrong at
// once, unless a file can't be read at all.
func load(flags *pflag.FlagSet, validate func(s settings) error) (loaded, error) {
	file, err := fileLayer(configPath(flags))
	if err != nil {
		return loaded{}, err
	}
	environment, foreign := envLayer()
	l, problems, err := merge(file, environment, flagLayer(flags))
	if err != nil {
		return loaded{}, err
	}
	problems = problems.add(validate(l.settings), l.origins)
	if len(problems) > 0 {
		return loaded{}, problems
	}
	l.foreign = foreign
	return l, nil
}

// logForeign warns of variables that no key was meant by, as far as one can tell.
func (l loaded) logForeign(log *slog.Logger) {
	if len(l.foreign) > 0 {
		log.Warn("variables that name no key are taken for another program's", "variables", strings.Join(l.foreign, " "))
	}
}

// merge lets each layer override those before it. A value that can't be read
// is a problem and leaves the one below in place, but for a list of structs, of
// which the rest is taken.
func merge(layers ...layer) (loaded, configError, error) {
	l := loaded{settings: defaultSettings(), origins: map[string]string{}}
	defaults := map[string]any{}
	for _, k := range allKeys() {
		defaults[k.name] = k.get(&l.settings).Interface()
	}
	merged := koanf.New(".")
	if err := merged.Load(confmap.Provider(defaults, "."), nil); err != nil {
		return loaded{}, nil, err
	}
	var problems configError
	for _, layer := range layers {
		values, bad := layer.read()
		problems = append(problems, bad...)
		if err := merged.Load(confmap.Provider(values, "."), nil); err != nil {
			return loaded{}, nil, err
		}
		for name := range values {
			l.origins[name] = layer.origin(name)
		}
	}
	// Into an empty struct: an empty list must replace a default that is not.
	l.settings = settings{}
	err := merged.UnmarshalWithConf("", &l.settings, koanf.UnmarshalConf{Tag: "koanf"})
	return l, problems, err
}

// read turns the layer's values into those of the keys' Go types.
func (l layer) read() (map[string]any, configError) {
	values := map[string]any{}
	var problems configError
	for _, name := range slices.Sorted(maps.Keys(l.values)) {
		raw := l.values[name]
		refuse := func(text string) { problems = append(problems, problem{text: name + text, origin: l.origin(name)}) }
		k, known := allKeys().find(name)
		if !known {
			if text := unknownKey(name, raw, l.spell); text != "" {
				refuse(": " + text)
			}
			continue
		}
		v, err := k.read(raw)
		if bad := (itemErrors)(nil); errors.As(err, &bad) {
			for _, item := range bad {
				refuse(item)
			}
		} else if err != nil {
			refuse(": " + k.notAllowed(raw, err))
			continue
		}
		values[name] = v
	}
	return values, problems
}

// unknownKey describes a name that is no key; "" for a section whose keys are all
// commented out.
func unknownKey(name string, raw any, spell func(k key) string) string {
	section, isSection := raw.(map[string]any)
	inside := allKeys().under(name)
	near, found := allKeys().find(configtext.Nearest(name, allKeys().names()))
	switch {
	case len(inside) > 0 && (raw == nil || isSection && len(section) == 0):
		return ""
	case len(inside) > 0:
		return fmt.Sprintf("%s is not allowed, want the keys %s", show(raw), strings.Join(inside, ", "))
	case found:
		return fmt.Sprintf("unknown key, did you mean %s?", spell(near))
	}
	return "unknown key, `gateway help config` lists them all"
}

// configPath returns the file to read, "" for none.
func configPath(flags *pflag.FlagSet) string {
	if f := flags.Lookup("config"); f != nil && f.Changed {
		return configtext.Trim(f.Value.String())
	}
	return configtext.Trim(os.Getenv(envConfig))
}

func fileLayer(path string) (layer, error) {
	if path == "" {
		return layer{}, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return layer{}, fmt.Errorf("read the configuration: %w", err)
	}
	d, err := configtext.Parse(text)
	if err != nil {
		return layer{}, fmt.Errorf("read the configuration %s: %w", path, err)
	}
	return layer{
		values: d.Values,
		origin: func(name string) string { return fmt.Sprintf("%s:%d", path, d.Lines[name]) },
		spell:  func(k key) string { return k.name },
	}, nil
}

// serviceLink matches the variables that Kubernetes sets in every pod next to
// a service named "gateway"; they are no keys.
var serviceLink = regexp.MustCompile(`^GATEWAY_(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// isForeign reports whether a variable is another program's, as far as one can
// tell: Kubernetes sets GATEWAY_ADMIN_PORT next to a service named
// "gateway-admin", a router's firmware GATEWAY_IP. A name with our two underscores,
// or near a key, was meant to be one, and a slip must not go unnoticed.
func isForeign(variable string) bool {
	name := envName(variable)
	_, known := allKeys().find(name)
	near := configtext.Nearest(name, allKeys().names())
	return !known && near == "" && len(allKeys().under(name)) == 0 && !strings.Contains(variable, "__")
}

// envName returns the key that a variable spells.
func envName(variable string) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(variable, envPrefix), "__", "."))
}

// envLayer returns the variables that are keys, or were meant to be, and the
// names of the others.
func envLayer() (_ layer, foreign []string) {
	values, variables := map[string]any{}, map[string]string{}
	for _, pair := range os.Environ() {
		variable, value, _ := strings.Cut(pair, "=")
		switch {
		case !strings.HasPrefix(variable, envPrefix) || variable == envConfig || serviceLink.MatchString(variable):
		case isForeign(variable):
			foreign = append(foreign, variable)
		default:
			name := envName(variable)
			values[name], variables[name] = value, variable
		}
	}
	slices.Sort(foreign)
	return layer{
		values: values,
		origin: func(name string) string { return "environment " + variables[name] },
		spell:  key.env,
	}, foreign
}

func flagLayer(flags *pflag.FlagSet) layer {
	values := map[string]any{}
	flags.Visit(func(f *pflag.Flag) {
		if raw, isKey := f.Value.(*rawFlag); isKey {
			values[f.Name] = raw.value()
		}
	})
	return layer{
		values: values,
		origin: func(name string) string { return "flag --" + name },
		spell:  func(k key) string { return "--" + k.name },
	}
}
