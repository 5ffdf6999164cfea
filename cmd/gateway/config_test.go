package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"pushgate/configs"
)

func TestDefaultsAreValid(t *testing.T) {
	if err := defaultSettings().validate(); err != nil {
		t.Fatal(err)
	}
}

// The reference configuration is the manual: it holds every key with its
// default and says what it is for.
func TestReferenceEqualsDefaults(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(path, configs.Gateway, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := fileLayer(path)
	if err != nil {
		t.Fatal(err)
	}
	l, problems, err := merge(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(problems) > 0 {
		t.Error(problems)
	}
	want := defaultSettings()
	comments := map[string]string{}
	eachYAMLKey(configs.Gateway, func(name string, key, _ *yaml.Node) {
		comments[name] = key.HeadComment
	})
	for _, k := range allKeys() {
		if _, ok := l.origins[k.name]; !ok {
			t.Errorf("configs/gateway.yaml lacks %s", k.name)
			continue
		}
		got, want := k.kind.format(k.get(&l.settings)), k.kind.format(k.get(&want))
		if got != want {
			t.Errorf("configs/gateway.yaml has %s: %s, the default is %s", k.name, got, want)
		}
		if !strings.HasPrefix(comments[k.name], "# ") {
			t.Errorf("configs/gateway.yaml does not explain %s in a comment above it", k.name)
		}
		if !isTable(k.typ) {
			continue
		}
		for _, f := range itemFields(k.typ.Elem()) {
			if !strings.Contains(comments[k.name], " "+f.name+":") {
				t.Errorf("configs/gateway.yaml does not explain %s of %s", f.name, k.name)
			}
		}
	}
}

func TestReadValue(t *testing.T) {
	for name, test := range map[string]struct {
		key  string
		raw  any
		want any // nil: refused
	}{
		"plain bytes":          {"limits.head_bytes", "4096", 4096},
		"bytes from YAML":      {"limits.head_bytes", 4096, 4096},
		"KiB":                  {"limits.head_bytes", "64KiB", 64 << 10},
		"MiB with a space":     {"limits.head_bytes", "1 MiB", 1 << 20},
		"GiB":                  {"limits.queue_bytes", "1GiB", 1 << 30},
		"buffer":               {"socket.send_buffer", "16KiB", 16 << 10},
		"digits in groups":     {"limits.connections", "1_000_000", 1000000},
		"unit that differs":    {"limits.head_bytes", "64kb", nil},
		"bytes overflow":       {"limits.head_bytes", "9223372036854775807KiB", nil},
		"unit on a count":      {"limits.connections", "1KiB", nil},
		"fraction of a count":  {"limits.connections", 1.5, nil},
		"empty number":         {"limits.connections", "", nil},
		"duration":             {"drain.timeout", "1h30m", 90 * time.Minute},
		"zero without a unit":  {"drain.timeout", 0, time.Duration(0)},
		"number as a duration": {"drain.timeout", 30, nil},
		"true":                 {"auth.allow_anonymous", "true", true},
		"false from YAML":      {"auth.allow_anonymous", false, false},
		"yes":                  {"auth.allow_anonymous", "yes", nil},
		"text":                 {"redis.prefix", "", ""},
		"number as text":       {"redis.prefix", 12, nil},
		"nothing as text":      {"redis.prefix", nil, nil},
		"list as text":         {"redis.prefix", []any{"a"}, nil},
		"section as text":      {"redis.prefix", map[string]any{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			k, ok := allKeys().find(test.key)
			if !ok {
				t.Fatalf("no key %s", test.key)
			}
			got, err := k.read(test.raw)
			if test.want == nil {
				if err == nil {
					t.Fatalf("%v was read as %v", test.raw, got)
				}
				return
			}
			if err != nil || got != test.want {
				t.Fatalf("got %v, %v, want %v", got, err, test.want)
			}
		})
	}
}

// Every value must survive being printed and read again.
func TestFormatReads(t *testing.T) {
	s := defaultSettings()
	for _, k := range allKeys() {
		v := k.get(&s)
		text := k.kind.format(v)
		got, err := k.read(text)
		if err != nil {
			t.Errorf("%s: %v is printed as %q, which is refused: %v", k.name, v.Interface(), text, err)
			continue
		}
		if again := k.kind.format(reflect.ValueOf(got)); again != text {
			t.Errorf("%s: %q is read as %q", k.name, text, again)
		}
	}
}

func TestListValue(t *testing.T) {
	k := key{name: "origins", typ: reflect.TypeFor[[]string](), kind: listKind}
	want := []string{"a", "b"}
	for _, raw := range []any{"a,b", " a , b,", []any{"a", "b"}} {
		got, err := k.read(raw)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v is read as %v, %v", raw, got, err)
		}
	}
	if got, err := k.read([]any{"a", 1}); err == nil {
		t.Errorf("a number in a list of text is read as %v", got)
	}
}

func TestFormatDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                       "0s",
		time.Second:             "1s",
		time.Minute:             "1m",
		time.Hour:               "1h",
		90 * time.Minute:        "1h30m",
		time.Hour + time.Second: "1h0m1s",
		10 * time.Minute:        "10m",
		20 * time.Hour:          "20h",
		1500 * time.Millisecond: "1.5s",
	} {
		if got := formatDuration(d); got != want {
			t.Errorf("%v is printed as %s, want %s", time.Duration(d), got, want)
		}
	}
}

func TestNearest(t *testing.T) {
	for unknown, want := range map[string]string{
		"limits.head_byts": "limits.head_bytes",
		"redis_url":        "redis.url",
		"head_timeout":     "limits.head_timeout",
		"timeout":          "", // heartbeat's or drain's
		"something.else":   "",
	} {
		got, ok := allKeys().nearest(unknown)
		if got.name != want || ok != (want != "") {
			t.Errorf("%s is taken for %q, want %q", unknown, got.name, want)
		}
	}
}

func TestMask(t *testing.T) {
	for name, test := range map[string]struct{ key, value, want string }{
		"token":             {"admin.token", "abc", "***"},
		"no token":          {"admin.token", "", ""},
		"password":          {"redis.password", "abc", "***"},
		"url":               {"redis.url", "redis://me:pw@host:6379/0", "redis://me:***@host:6379/0"},
		"url without user":  {"redis.url", "redis://:pw@host", "redis://:***@host"},
		"unescaped":         {"redis.url", "redis://me:p:w/@x@host", "redis://me:***@host"},
		"nothing to hide":   {"redis.url", "redis://host:6379/0", "redis://host:6379/0"},
		"ordinary key":      {"listen", "127.0.0.1:8080", "127.0.0.1:8080"},
		"of the sentinels":  {"redis.url", "redis+sentinel://me:pw@a:1?password=qw&master_name=m", "redis+sentinel://me:***@a:1?password=***&master_name=m"},
		"several addresses": {"redis.url", "redis://me:pw@a:1,b:2", "redis://me:***@a:1,b:2"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := maskValue(test.key, test.value); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// Kubernetes sets such variables next to a service named "gateway".
func TestServiceLinksAreNoKeys(t *testing.T) {
	for variable, want := range map[string]bool{
		"GATEWAY_SERVICE_HOST":        true,
		"GATEWAY_SERVICE_PORT":        true,
		"GATEWAY_SERVICE_PORT_HTTP":   true,
		"GATEWAY_PORT":                true,
		"GATEWAY_PORT_8080_TCP":       true,
		"GATEWAY_PORT_8080_TCP_PROTO": true,
		"GATEWAY_PORT_8080_TCP_ADDR":  true,
		"GATEWAY_PORTS":               false,
		"GATEWAY_SERVICE":             false,
		"GATEWAY_LISTEN":              false,
	} {
		if got := serviceLink.MatchString(variable); got != want {
			t.Errorf("%s: %v, want %v", variable, got, want)
		}
	}
}
