package interop

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pushgate/pushgate/internal/redistest"
)

// TestRedisWithClientCertificates runs every command that speaks to Redis on one that asks its
// clients for certificates, as Redis with TLS does by default, and is published to by
// redis-cli.
func TestRedisWithClientCertificates(t *testing.T) {
	needs(t, "redis-cli")
	certs := redistest.NewCertificates(t, redistest.ServerName)
	redis := redistest.StartSecure(t, certs)
	secure := "rediss://" + redis.Secure
	keys := []string{"--redis.url", secure, "--redis.tls.ca_file", certs.CA, "--redis.tls.cert_file", certs.Client,
		"--redis.tls.key_file", certs.ClientKey, "--redis.tls.server_name", redistest.ServerName}
	inURL := []string{"--redis.url", secure + "?" + certs.Query()}

	run := func(fails bool, name string, args ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
		if (err != nil) != fails {
			t.Fatalf("%s %v: %v\n%s", name, args, err, out)
		}
		return string(out)
	}
	for name, flags := range map[string][]string{"keys": keys, "URL": inURL} {
		t.Run(name, func(t *testing.T) {
			g := startGatewayOn(t, redis, flags...)
			c, _, err := websocket.DefaultDialer.Dial("ws://"+g.Public+"/v1/ws?channels=news", nil)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			receives := func(what string) {
				t.Helper()
				for {
					c.SetReadDeadline(time.Now().Add(patience))
					_, text, err := c.ReadMessage()
					if err != nil {
						t.Fatalf("%s does not come: %v", what, err)
					}
					if strings.Contains(string(text), what) {
						return
					}
				}
			}
			receives(`"subscribed"`)
			host, port, _ := strings.Cut(redis.Secure, ":")
			run(false, "redis-cli", "-h", host, "-p", port, "--tls", "--cacert", certs.CA, "--cert", certs.Client, "--key", certs.ClientKey,
				"publish", "push:news", `"by redis-cli"`)
			receives(`"by redis-cli"`)
			for _, durable := range []string{"--durable=true", "--durable=false"} {
				run(false, program, append([]string{"publish", "news", `"` + durable + `"`, durable}, flags...)...)
				receives(`"` + durable + `"`)
			}
			// The doctor may find the box too small, but it reaches Redis.
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			out, _ := exec.CommandContext(ctx, program, append([]string{"doctor", "--target", "1000"}, flags...)...).CombinedOutput()
			if !strings.Contains(string(out), "redis maxclients") || strings.Contains(string(out), "does not answer") {
				t.Errorf("the doctor says\n%s", out)
			}
		})
	}
	said := run(true, program, "publish", "news", "x", "--redis.url", secure, "--redis.tls.ca_file", certs.CA, "--redis.tls.server_name", redistest.ServerName)
	if !strings.Contains(said, "the server asks for a client certificate, redis.tls.cert_file") {
		t.Errorf("without a certificate: %s", said)
	}
	said = run(true, program, "check", "--redis.url", secure, "--redis.tls.cert_file", certs.Client)
	if !strings.Contains(said, `redis.tls.key_file: "" is not allowed, want the file with the private key of cert_file`) {
		t.Errorf("without the key: %s", said)
	}
}
