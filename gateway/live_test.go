package gateway

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/pushgate/pushgate/gateway/certs"
)

// Each key changes alone: it's taken over or refused, as LiveKeys says.
func TestLiveKeys(t *testing.T) {
	old := DefaultConfig()
	var each func(prefix string, v reflect.Value, changed *Config)
	each = func(prefix string, v reflect.Value, changed *Config) {
		for i := range v.NumField() {
			name, field := prefix+v.Type().Field(i).Tag.Get("koanf"), v.Field(i)
			if field.Kind() == reflect.Struct {
				each(name+".", field, changed)
				continue
			}
			before := reflect.ValueOf(field.Interface())
			switch field.Kind() {
			case reflect.String:
				field.SetString(field.String() + "x")
			case reflect.Bool:
				field.SetBool(!field.Bool())
			case reflect.Slice:
				field.Set(reflect.MakeSlice(field.Type(), field.Len()+1, field.Len()+1))
			default:
				field.SetInt(field.Int() + 1)
			}
			live := slices.ContainsFunc(LiveKeys, func(k string) bool { return name == k || strings.HasPrefix(name, k+".") })
			refused := differing("", reflect.ValueOf(old.withLive(*changed)), reflect.ValueOf(*changed))
			if live && len(refused) != 0 || !live && !slices.Equal(refused, []string{name}) {
				t.Errorf("%s changes: refused %v, live %v", name, refused, live)
			}
			field.Set(before)
		}
	}
	changed := DefaultConfig()
	each("", reflect.ValueOf(&changed).Elem(), &changed)
}

// The keys of tls that are live come one by one, but not while the listener appears, goes or gets its
// certificate in another way: they would not fit those that stay.
func TestLiveTLS(t *testing.T) {
	pair := []certs.Files{{CertFile: "a", KeyFile: "a"}}
	config := func(listen string, selfSigned bool, pairs []certs.Files, version string) certs.Config {
		c := certs.DefaultConfig()
		c.Listen, c.SelfSigned, c.Certificates, c.MinVersion = listen, selfSigned, pairs, version
		return c
	}
	none, made := config("", false, nil, "1.2"), config("", true, nil, "1.2")
	served := config(":443", false, pair, "1.2")
	for name, test := range map[string]struct {
		now, next, want certs.Config
		refused         []string
	}{
		"it appears":             {none, config(":443", false, pair, "1.3"), none, []string{"tls.listen", "tls.certificates", "tls.min_version"}},
		"it goes":                {served, config("", false, nil, "1.3"), served, []string{"tls.listen", "tls.certificates", "tls.min_version"}},
		"a certificate is given": {made, served, made, []string{"tls.listen", "tls.certificates", "tls.self_signed"}},
		"another address":        {served, config(":444", false, append(pair, pair...), "1.3"), config(":443", false, append(pair, pair...), "1.3"), []string{"tls.listen"}},
		"another version":        {made, config("", true, nil, "1.3"), config("", true, nil, "1.3"), nil},
	} {
		now, next := DefaultConfig(), DefaultConfig()
		now.TLS, next.TLS = test.now, test.next
		got := now.withLive(next)
		if !reflect.DeepEqual(got.TLS, test.want) {
			t.Errorf("%s: got %+v, want %+v", name, got.TLS, test.want)
		}
		if refused := differing("", reflect.ValueOf(got), reflect.ValueOf(next)); !slices.Equal(refused, test.refused) {
			t.Errorf("%s: refused %v, want %v", name, refused, test.refused)
		}
	}
}

// What clients and operators need to get in changes together with the keys that need a restart, so that
// nothing is open, and no file refused, until then.
func TestLiveAccess(t *testing.T) {
	secret := strings.Repeat("s", 32)
	authority := func(c *Config) {
		c.TLS.Listen, c.TLS.Certificates, c.TLS.ClientCAFile = "127.0.0.1:8443", []certs.Files{{CertFile: "a", KeyFile: "a"}}, "ca"
	}
	tokens := func(c *Config) {
		authority(c)
		c.TLS.ClientCAFile, c.Auth.Mode, c.Auth.JWT.Secret = "", "jwt", secret
	}
	for name, test := range map[string]struct {
		now, next func(c *Config)
		refused   []string
	}{
		"certificates, then tokens": {authority, tokens, []string{"auth.mode", "auth.jwt.secret", "tls.client_ca_file"}},
		"tokens, then certificates": {tokens, authority, []string{"auth.mode", "auth.jwt.secret", "tls.client_ca_file"}},
		"neither, then tokens":      {func(*Config) {}, func(c *Config) { c.Auth.Mode, c.Auth.JWT.Secret = "jwt", secret }, []string{"auth.mode", "auth.jwt.secret"}},
		"another secret":            {tokens, func(c *Config) { tokens(c); c.Auth.JWT.Secret += "s" }, nil},
		"no certificates":           {authority, func(c *Config) { authority(c); c.TLS.ClientCAFile = "" }, nil},
		"an operator's token, then no listener": {
			func(c *Config) { c.Admin.Token = secret }, func(c *Config) { c.Admin.Listen = "" }, []string{"admin.listen", "admin.token"},
		},
		"an operator's token, then loopback": {
			func(c *Config) { c.Admin.Listen, c.Admin.Token = ":8081", secret }, func(*Config) {}, []string{"admin.listen", "admin.token"},
		},
		"no operator's token": {func(c *Config) { c.Admin.Token = secret }, func(*Config) {}, nil},
		"a network with another token": {
			func(c *Config) { c.Admin.Token = secret }, func(c *Config) { c.Admin.Listen, c.Admin.Token = ":8081", secret+"s" }, []string{"admin.listen"},
		},
	} {
		now, next := DefaultConfig(), DefaultConfig()
		test.now(&now)
		test.next(&next)
		if err := next.Validate(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got := now.withLive(next)
		if err := got.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if refused := differing("", reflect.ValueOf(got), reflect.ValueOf(next)); !slices.Equal(refused, test.refused) {
			t.Errorf("%s: refused %v, want %v", name, refused, test.refused)
		}
	}
}
