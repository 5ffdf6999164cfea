package interop

import (
	"encoding/csv"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pushgate/pushgate/internal/gatewaytest"
)

// balancer is a running HAProxy.
type balancer struct {
	t      testing.TB
	public string // host:port
	stats  string // path of its socket
}

// startHAProxy runs HAProxy in front of gateways until the test ends. lines are
// the configuration of its one proxy beside the address, with %s for the public
// address of each gateway in turn; timeouts in it go before the usual ones.
func startHAProxy(t testing.TB, lines string, gateways ...*gateway) *balancer {
	t.Helper()
	path := needs(t, "haproxy")
	dir := t.TempDir()
	addr := gatewaytest.Address(t)
	var addresses []any
	for _, g := range gateways {
		addresses = append(addresses, g.Public)
	}
	b := &balancer{t: t, public: addr, stats: filepath.Join(dir, "stats")}
	config := filepath.Join(dir, "haproxy.cfg")
	text := fmt.Sprintf("global\n\tstats socket %s\ndefaults\n\tmode http\n\ttimeout connect 60s\n\ttimeout client 60s\n\ttimeout server 60s\n\ttimeout check 60s\n"+
		"listen gateway\n\tbind %s\n%s\n", b.stats, addr, fmt.Sprintf(lines, addresses...))
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	start(t, path, "-db", "-f", config)
	awaitListener(t, addr)
	eventually(t, "HAProxy has its other socket too", func() bool {
		c, err := net.Dial("unix", b.stats)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return b
}

// server returns HAProxy's statistics of one of its servers by name.
func (b *balancer) server(name string) map[string]string {
	b.t.Helper()
	c, err := net.Dial("unix", b.stats)
	if err != nil {
		b.t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, "show stat\n")
	rows, err := csv.NewReader(c).ReadAll()
	if err != nil || len(rows) == 0 {
		b.t.Fatalf("HAProxy's statistics: %v", err)
	}
	for _, row := range rows[1:] {
		if row[1] != name {
			continue
		}
		values := make(map[string]string)
		for i, key := range rows[0] {
			values[strings.TrimPrefix(key, "# ")] = row[i]
		}
		return values
	}
	b.t.Fatalf("HAProxy has no server %s", name)
	return nil
}
