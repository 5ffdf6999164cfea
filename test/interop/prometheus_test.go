package interop

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/pushgate/pushgate/internal/gatewaytest"
)

// TestPrometheus has Prometheus scrape the gateway and load the alerts. The first
// incident of a kind counts.
func TestPrometheus(t *testing.T) {
	path := needs(t, "prometheus")
	g := startGateway(t)
	rules, err := filepath.Abs("../../deploy/prometheus-rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "prometheus.yml")
	text := fmt.Sprintf(`global: {scrape_interval: 200ms, evaluation_interval: 200ms}
rule_files: [%s]
scrape_configs: [{job_name: pushgate, static_configs: [{targets: ["%s"]}]}]
`, rules, g.Admin)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	addr := gatewaytest.Address(t)
	start(t, path, "--config.file", config, "--storage.tsdb.path", t.TempDir(), "--web.listen-address", addr)

	p := prometheus{t, "http://" + addr}
	p.eventually(`count_over_time(gateway_rejects_total{reason="not_found"}[5m]) > 5`)
	if status, _ := get(t, "http://"+g.Public+"/nothing"); status != http.StatusNotFound {
		t.Fatalf("status %d", status)
	}
	p.eventually(`increase(gateway_rejects_total{reason="not_found"}[5m]) > 0`)

	var groups struct {
		Groups []struct {
			Rules []struct{ Name, Health, LastError, State string }
		}
	}
	p.get("/api/v1/rules", &groups)
	count := 0
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			count++
			if rule.Health != "ok" || rule.State == "firing" {
				t.Errorf("%+v", rule)
			}
		}
	}
	if count == 0 {
		t.Error("Prometheus has no rules")
	}
}

// TestAlerts has the alerts on certificates fire, and not before it is time.
func TestAlerts(t *testing.T) {
	if out, err := exec.Command(needs(t, "promtool"), "test", "rules", "testdata/alerts.yaml").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// prometheus is a running one.
type prometheus struct {
	t   testing.TB
	url string
}

// get reads the data of an answer of its API into v, and reports whether it had any.
func (p prometheus) get(path string, v any) bool {
	_, text, err := gatewaytest.Request("GET", p.url+path, "")
	return err == nil && json.Unmarshal([]byte(text), &struct{ Data any }{v}) == nil // an error while it starts
}

// eventually waits until a query has a result.
func (p prometheus) eventually(query string) {
	p.t.Helper()
	eventually(p.t, query, func() bool {
		var data struct{ Result []any }
		return p.get("/api/v1/query?query="+url.QueryEscape(query), &data) && len(data.Result) > 0
	})
}
