package interop

import (
	"testing"

	"github.com/pushgate/pushgate/internal/redistest"
)

// TestLoadgenRedis publishes to gateways on a Cluster, through Sentinels and with
// client certificates, where --redis is the gateway's redis.url.
func TestLoadgenRedis(t *testing.T) {
	certs := redistest.NewCertificates(t, redistest.ServerName)
	cluster, sentinel, secure := redistest.StartCluster(t, 3), redistest.StartSentinel(t), redistest.StartSecure(t, certs)
	for name, x := range map[string]struct {
		server *redistest.Server
		url    string
	}{
		"cluster":  {cluster.Masters[0], cluster.URL()},
		"sentinel": {sentinel.Master, sentinel.URL()},
		"TLS":      {secure, "rediss://" + secure.Secure + "?" + certs.Query()},
	} {
		t.Run(name, func(t *testing.T) {
			g := startGatewayOn(t, x.server, "--redis.url", x.url)
			for _, durable := range []string{"--durable=false", "--durable"} {
				r, code := load(t, "fanout", "--url", "ws://"+g.Public, "-n", "60", "--channels", "room.%d{20}", durable,
					"--messages", "200", "--rate", "100", "--redis", x.url, "--timeout", "90s")
				if code != 0 || r.Fanout == nil || r.Fanout.Expected != 600 || r.Fanout.Delivered != 600 {
					t.Errorf("%s: exit code %d", durable, code)
				}
			}
		})
	}
}
