package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pushgate/pushgate/cmd/internal/configtext"
	"github.com/pushgate/pushgate/configs"
)

func TestDefaultsAreValid(t *testing.T) {
	if err := defaultSettings().validate(); err != nil {
		t.Fatal(err)
	}
}

// The reference configuration is the manual: it holds every key with its
// default and explains it.
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
	manual, err := configtext.Parse(configs.Gateway)
	if err != nil {
		t.Fatal(err)
	}
	comments := manual.Comments
	for _, k := range allKeys() {
		if _, ok := l.origins[k.name]; !ok {
			t.Errorf("configs/gateway.yaml lacks %s", k.name)
			continue
		}
		got, want := k.kind.text(k.get(&l.settings)), k.kind.text(k.get(&want))
		if got != want {
			t.Errorf("configs/gateway.yaml has %s: %s, the default is %s", k.name, got, want)
		}
		if !strings.HasPrefix(comments[k.name], "# ") {
			t.Errorf("configs/gateway.yaml does not explain %s in a comment above it", k.name)
		}
		if k.kind != recordsKind {
			continue
		}
		for _, f := range itemKeys(k.typ.Elem()) {
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
		"spaces":               {"limits.head_bytes", " 4096\r\n", 4096},
		"byte order mark":      {"limits.head_bytes", "\ufeff4096", 4096},
		"leading zero":         {"limits.connections", "010", 10},
		"KiB":                  {"limits.head_bytes", "64KiB", 64 << 10},
		"MiB with a space":     {"limits.head_bytes", "1 MiB", 1 << 20},
		"GiB":                  {"limits.queue_bytes", "1GiB", 1 << 30},
		"buffer":               {"socket.send_buffer", "16KiB", 16 << 10},
		"digits in groups":     {"limits.connections", "1_000_000", 1000000},
		"unit that differs":    {"limits.head_bytes", "64kb", nil},
		"bytes overflow":       {"limits.head_bytes", "9223372036854775807KiB", nil},
		"unit on a count":      {"limits.connections", "1KiB", nil},
		"fraction of a count":  {"limits.connections", "1.5", nil},
		"empty number":         {"limits.connections", "", nil},
		"duration":             {"drain.timeout", "1h30m", 90 * time.Minute},
		"zero without a unit":  {"drain.timeout", "0", time.Duration(0)},
		"number as a duration": {"drain.timeout", "30", nil},
		"true":                 {"auth.allow_anonymous", "true", true},
		"False":                {"auth.allow_anonymous", "False", false},
		"yes":                  {"auth.allow_anonymous", "yes", nil},
		"text":                 {"redis.prefix", "", ""},
		"digits as text":       {"redis.prefix", "12", "12"},
		"text with spaces":     {"redis.prefix", " push: ", "push:"},
		"text in quotes":       {"redis.prefix", `"push:"`, nil},
		"text in single ones":  {"redis.prefix", `'push:'`, nil},
		"a variable":           {"redis.prefix", "${PREFIX}", nil},
		"a variable within":    {"redis.url", "redis://${HOST}:6379", nil},
		"a bare variable":      {"auth.jwt.secret", "$SECRET", nil},
		"a template":           {"redis.prefix", "{{ .Values.prefix }}", nil},
		"a dollar":             {"auth.jwt.secret", "$5 and more", "$5 and more"},
		"a quotation mark":     {"auth.jwt.secret", `5" disk`, `5" disk`},
		"secret's line end":    {"admin.token", "abc\r\n", "abc"},
		"secret's spaces":      {"auth.jwt.secret", " abc \n\n", " abc \n"},
		"secret's mark":        {"auth.jwt.secret", "\ufeffabc", "abc"},
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
		text := k.kind.text(v)
		got, err := k.read(text)
		if err != nil {
			t.Errorf("%s: %v is printed as %q, which is refused: %v", k.name, v.Interface(), text, err)
			continue
		}
		if again := k.kind.text(reflect.ValueOf(got)); again != text {
			t.Errorf("%s: %q is read as %q", k.name, text, again)
		}
	}
}

func TestListValue(t *testing.T) {
	k := key{name: "origins", typ: reflect.TypeFor[[]string](), kind: listKind}
	want := []string{"a", "b"}
	for _, raw := range []any{
		"a,b", " a , b,", []any{"a", " b"}, "[a, b]", `["a", "b"]`, ` ["a","b"] ` + "\n", "a\n,b\n", "\ufeffa,b",
	} {
		got, err := k.read(raw)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q is read as %v, %v", raw, got, err)
		}
	}
	for _, raw := range []any{
		[]any{"a", []any{"b"}}, []any{nil}, nil, map[string]any{"a": "b"}, "[a, b", `["a"] b`, `[a, {b: c}]`, `"a","b"`, []any{"${A}"}, "$A",
	} {
		if got, err := k.read(raw); err == nil {
			t.Errorf("%q is read as %v", raw, got)
		}
	}
	if got, err := k.read("[]"); err != nil || len(got.([]string)) != 0 {
		t.Errorf("[] is read as %v, %v", got, err)
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
		"level":            "log.level",
		"jwt_secret":       "auth.jwt.secret",
		"name":             "", // redis.tls.server_name is none without its section
		"address":          "",
	} {
		if got := configtext.Nearest(unknown, allKeys().names()); got != want {
			t.Errorf("%s is taken for %q, want %q", unknown, got, want)
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

// A variable of another program is not refused; one that was meant for a key is.
func TestForeignVariables(t *testing.T) {
	foreign := []string{"GATEWAY_IP", "GATEWAY_INTERFACE", "GATEWAY_URL", "GATEWAY_HOST", "GATEWAY_REDIS_HOST", "GATEWAY_TIMEOUT", "GATEWAY_VERSION"}
	// Kubernetes, next to services named gateway-admin and so on.
	for _, service := range []string{"ADMIN", "AUTH", "DRAIN", "LIMITS", "LISTEN", "LOG", "PROXY", "PUBLIC", "REDIS", "SHARDS", "SOCKET", "TLS", "WS"} {
		for _, end := range []string{"SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_80_TCP", "PORT_80_TCP_PROTO", "PORT_80_TCP_PORT", "PORT_80_TCP_ADDR"} {
			foreign = append(foreign, "GATEWAY_"+service+"_"+end)
		}
	}
	for _, variable := range foreign {
		if !isForeign(variable) {
			t.Errorf("%s is taken for a key", variable)
		}
	}
	for _, variable := range []string{
		"GATEWAY_REDIS_URL", "GATEWAY_LISTN", "GATEWAY_ADMIN_LISTEN", "GATEWAY_AUTH_JWT_SECRET", "GATEWAY_JWT_SECRET", "GATEWAY_SECRET",
		"GATEWAY_TOKEN", "GATEWAY_ORIGIN", "GATEWAY_REDIS", "GATEWAY_AUTH", "GATEWAY_FOO__BAR", "GATEWAY_AUTH__JWT_SECERT",
	} {
		if isForeign(variable) {
			t.Errorf("%s is taken for another program's", variable)
		}
	}
	for _, k := range allKeys() {
		if isForeign(k.env()) {
			t.Errorf("%s is taken for another program's", k.env())
		}
	}
}
