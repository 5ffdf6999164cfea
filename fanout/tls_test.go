package fanout

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/internal/redistest"
)

// secureConfig is for a server that asks for a client certificate, by keys.
func secureConfig(url string, certs *redistest.Certificates) Config {
	c := testConfig(url)
	c.TLS = TLSConfig{CAFile: certs.CA, CertFile: certs.Client, KeyFile: certs.ClientKey, ServerName: redistest.ServerName}
	return c
}

// works uses each kind of a broker's connections.
func works(t *testing.T, c Config) {
	t.Helper()
	news := strings.ReplaceAll(t.Name(), "#", "-") // a history of its own
	c.ProbeInterval = time.Second                  // of a busy machine, which must not make a link seem lost
	b := runBroker(t, c)
	r := newRecorder()
	join(b, news, r)
	r.wait(t, news, 1)
	waitReady(t, b)
	if _, err := b.Publish(t.Context(), news, []byte("1"), PublishOptions{Durable: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.PublishPlain(t.Context(), news, []byte("2"), ""); err != nil {
		t.Fatal(err)
	}
	r.wait(t, news, 3)
	if a := r.replay(t, b, news, message.Position{Ms: 1}); !slices.Equal(payloads(a.Messages), []string{"1", "2"}) {
		t.Errorf("replayed %v", payloads(a.Messages))
	}
	client, err := NewClient(c)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Errorf("a client of its own: %v", err)
	}
}

func TestClientCertificate(t *testing.T) {
	t.Parallel()
	certs := redistest.NewCertificates(t, redistest.ServerName)
	server := redistest.StartSecure(t, certs)
	for name, c := range map[string]Config{
		"keys":       secureConfig("rediss://"+server.Secure+"/3", certs),
		"parameters": testConfig("rediss://" + server.Secure + "/3?" + certs.Query() + "&read_timeout=5s"),
		"both": func() Config {
			c := secureConfig("rediss://"+server.Secure+"?server_name="+redistest.ServerName, certs)
			c.TLS.ServerName = "overridden.example"
			return c
		}(),
	} {
		t.Run(name, func(t *testing.T) { works(t, c) })
	}
	t.Run("sentinel", func(t *testing.T) { works(t, testConfig(redistest.StartSecureSentinel(t, certs).URL())) })
	t.Run("cluster", func(t *testing.T) {
		if testing.Short() {
			t.Skip("starts six servers")
		}
		cluster := redistest.StartSecureCluster(t, 3, certs)
		testOwners(t, cluster)
		works(t, clusterConfig(cluster))
	})
}

// Each thing that the gateway can't know of is an error that names the key.
func TestTLSErrorsNameTheKey(t *testing.T) {
	t.Parallel()
	certs := redistest.NewCertificates(t, redistest.ServerName)
	server := redistest.StartSecure(t, certs)
	older := redistest.StartSecure(t, certs, "--tls-protocols", "TLSv1.2")
	foreign := redistest.NewCertificates(t)
	for name, tt := range map[string]struct {
		url    string
		change func(*TLSConfig)
		want   []string
	}{
		"no certificate": {
			"rediss://" + server.Secure, func(c *TLSConfig) { c.CertFile, c.KeyFile = "", "" },
			[]string{"the server asks for a client certificate", "redis.tls.cert_file"},
		},
		"no certificate, TLS 1.2": {
			"rediss://" + older.Secure, func(c *TLSConfig) { c.CertFile, c.KeyFile = "", "" },
			[]string{"the server asks for a client certificate", "redis.tls.cert_file"},
		},
		"another authority's": {
			"rediss://" + server.Secure, func(c *TLSConfig) { c.CertFile, c.KeyFile = foreign.Client, foreign.ClientKey },
			[]string{"does not take the certificate of redis.tls.cert_file"},
		},
		"no authority": {
			"rediss://" + server.Secure, func(c *TLSConfig) { c.CAFile = "" }, []string{"unknown authority", "redis.tls.ca_file"},
		},
		"the address": {
			"rediss://" + server.Secure, func(c *TLSConfig) { c.ServerName = "" }, []string{"127.0.0.1", "redis.tls.server_name"},
		},
		"another name": {
			"rediss://" + server.Secure, func(c *TLSConfig) { c.ServerName = "other.example" }, []string{"other.example", "redis.tls.server_name"},
		},
		"plain port": {
			"rediss://" + server.Addr + "?dial_timeout=300ms", func(c *TLSConfig) {}, []string{"redis:// is for"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := secureConfig(tt.url, certs)
			tt.change(&c.TLS)
			b := runBroker(t, c)
			says := func(err error) bool {
				return err != nil && !slices.ContainsFunc(tt.want, func(part string) bool { return !strings.Contains(err.Error(), part) })
			}
			last := error(nil)
			eventually(t, "the link says "+strings.Join(tt.want, " … "), func() bool { last = b.Ready(); return says(last) })
			if _, err := b.PublishPlain(t.Context(), "news", []byte("x"), ""); !says(err) {
				t.Errorf("a publish: %v", err)
			}
		})
	}
}

// TestRenewedCertificate: each new connection uses the present content of the files.
func TestRenewedCertificate(t *testing.T) {
	t.Parallel()
	certs := redistest.NewCertificates(t, redistest.ServerName)
	server := redistest.StartSecure(t, certs)
	c := secureConfig("rediss://"+server.Secure, certs)
	good := read(t, certs.Client)
	// Of another authority, with the right key's name: as good as expired.
	foreign := redistest.NewCertificates(t)
	write(t, certs.Client, read(t, foreign.Client))
	key := read(t, certs.ClientKey)
	write(t, certs.ClientKey, read(t, foreign.ClientKey))
	b := runBroker(t, c)
	eventually(t, "the certificate is refused", func() bool {
		return b.Ready() != nil && strings.Contains(b.Ready().Error(), "redis.tls.cert_file")
	})
	write(t, certs.Client, []byte("half of it"))
	write(t, certs.ClientKey, key)
	eventually(t, "the file can't be read", func() bool { return strings.Contains(b.Ready().Error(), "redis.tls.cert_file: \"") })
	write(t, certs.Client, good)
	waitReady(t, b)
	certs.RenewClient()
	server.Kill()
	server.Start()
	waitReady(t, b)
}

func TestValidateTLS(t *testing.T) {
	certs := redistest.NewCertificates(t)
	empty := filepath.Join(t.TempDir(), "empty")
	write(t, empty, nil)
	const url = "rediss://redis.example"
	for name, tt := range map[string]struct {
		url  string
		tls  TLSConfig
		want []string // prefix of each error
	}{
		"none":           {url, TLSConfig{}, nil},
		"all":            {url, TLSConfig{CAFile: certs.CA, CertFile: certs.Client, KeyFile: certs.ClientKey, ServerName: "redis.example"}, nil},
		"of a cluster":   {"rediss+cluster://a?addr=b:1&skip_verify=true", TLSConfig{CAFile: certs.CA}, nil},
		"of a sentinel":  {"rediss+sentinel://a?master_name=m&" + certs.Query(), TLSConfig{}, nil},
		"an address":     {url, TLSConfig{ServerName: "::1"}, nil},
		"without TLS":    {"redis://a", TLSConfig{ServerName: "b"}, []string{`redis.url: "redis://a" is not allowed, want rediss://`}},
		"by parameter":   {"redis://a?ca_file=x", TLSConfig{}, []string{`redis.url: "redis://a?ca_file=x" is not allowed, want rediss://`}},
		"a socket":       {"unix:///run/redis.sock?skip_verify=true", TLSConfig{}, []string{`redis.url: `}},
		"embedded":       {"", TLSConfig{CAFile: certs.CA}, []string{`redis.url: "" is not allowed, want rediss://`}},
		"no such file":   {url, TLSConfig{CAFile: "/no/ca"}, []string{`redis.tls.ca_file: "/no/ca" is not allowed, want a file with certificates in PEM: open /no/ca: no such file`}},
		"no certificate": {url, TLSConfig{CAFile: empty}, []string{`redis.tls.ca_file: "` + empty}},
		"no key":         {url, TLSConfig{CertFile: certs.Client}, []string{`redis.tls.key_file: "" is not allowed, want the file with the private key of cert_file`}},
		"only a key":     {url, TLSConfig{KeyFile: certs.ClientKey}, []string{`redis.tls.cert_file: ""`}},
		"another's key":  {url, TLSConfig{CertFile: certs.Client, KeyFile: certs.ServerKey}, []string{`redis.tls.cert_file: "` + certs.Client + `" is not allowed, want a certificate and in key_file its private key`}},
		"a port":         {url, TLSConfig{ServerName: "redis:6379"}, []string{`redis.tls.server_name: "redis:6379" is not allowed`}},
		"in the URL":     {url + "?cert_file=/no/cert&key_file=/no/key", TLSConfig{}, []string{`redis.tls.cert_file: "/no/cert"`, `redis.tls.key_file: "/no/key"`}},
		"bad flag":       {url + "?skip_verify=perhaps", TLSConfig{}, []string{"redis.url: "}},
		"bad escape":     {url + "?ca_file=%zz", TLSConfig{}, []string{"redis.url: "}},
	} {
		c := DefaultConfig()
		c.URL, c.TLS = tt.url, tt.tls
		var got []string
		if err := c.Validate(); err != nil {
			got = strings.Split(err.Error(), "\n")
		}
		if !slices.EqualFunc(got, tt.want, strings.HasPrefix) {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func write(t *testing.T, file string, text []byte) {
	t.Helper()
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
