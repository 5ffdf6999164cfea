package gateway_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pushgate/pushgate/gateway"
)

// Every series is there before anything has happened: increase() and rate() see
// nothing of a counter's first value.
func TestMetricsBeginAtZero(t *testing.T) {
	in := start(t, nil).ready()
	_, page := in.get("http://" + in.AdminAddr() + "/metrics")
	labels := map[string][]string{
		"gateway_closes_total":           constants(t, reasonsFile, `^Close$`),
		"gateway_rejects_total":          constants(t, reasonsFile, `^Reject$`),
		"gateway_dropped_messages_total": constants(t, reasonsFile, `^Drop$`),
		"gateway_tokens_refused_total":   constants(t, "auth/reason.go", `^Reason$`),
		"gateway_broker_gaps_total":      {"broker", "history"},
	}
	for name, reasons := range labels {
		if len(reasons) < 2 {
			t.Errorf("%s: found %d reasons", name, len(reasons))
		}
		for _, reason := range reasons {
			if series := fmt.Sprintf("\n%s{reason=%q} ", name, reason); !strings.Contains(page, series+"0\n") {
				t.Errorf("no%sof 0", series)
			}
		}
	}
	for _, result := range constants(t, reasonsFile, `^Publish$`) {
		if !strings.Contains(page, fmt.Sprintf("\ngateway_client_publishes_total{result=%q} 0\n", result)) {
			t.Errorf("no gateway_client_publishes_total of 0 for %s", result)
		}
	}
	for _, line := range strings.Split(page, "\n") {
		if strings.HasPrefix(line, "gateway_build_info{") && strings.HasSuffix(line, "} 1") {
			return
		}
	}
	t.Error("no gateway_build_info")
}

func TestTimesAreMeasured(t *testing.T) {
	in := start(t, func(c *gateway.Config) {
		c.Channels = []gateway.ChannelRule{{Match: []string{"chat"}, Publish: true}}
	}).ready()
	c := in.subscribed("chat")
	c.write(`{"type":"publish","channel":"chat","data":1,"ref":1}`)
	in.redis.Publish("chat", "2")
	for _, want := range []float64{1, 2} {
		eventually(t, "a message was delivered and counted", func() bool { return in.metric("gateway_delivery_seconds_count") >= want })
	}
	eventually(t, "the publish was counted", func() bool { return in.metric(`gateway_client_publishes_total{result="ok"}`) == 1 })
	eventually(t, "probes were timed", func() bool { return in.metric("gateway_broker_round_trip_seconds_count") > 0 })
	for _, name := range []string{"gateway_delivery_seconds", "gateway_broker_round_trip_seconds"} {
		if mean := in.metric(name+"_sum") / in.metric(name+"_count"); mean <= 0 || mean > patience.Seconds() {
			t.Errorf("%s is %v s on average", name, mean)
		}
	}
}

func TestReloadsAreTold(t *testing.T) {
	in := start(t, nil).ready()
	const success, at = "gateway_config_last_reload_successful", "gateway_config_last_reload_success_timestamp_seconds"
	if got := in.metric(success); got != 1 {
		t.Errorf("%s is %v before any", success, got)
	}
	begin := in.metric(at)
	if now := float64(time.Now().Unix()); begin < now-patience.Seconds() || begin > now {
		t.Errorf("read at %v, now is %v", begin, now)
	}
	wrong := in.Live()
	wrong.Limits.HeadBytes = 1
	if _, err := in.Reload(wrong); err == nil {
		t.Fatal("a wrong configuration was taken over")
	}
	if got := in.metric(success); got != 0 || in.metric(at) != begin {
		t.Errorf("after a refused one: %s is %v, %s %v", success, got, at, in.metric(at))
	}
	in.reloadWith(func(c *gateway.Config) { c.Limits.HeadBytes = 4096 })
	if got := in.metric(success); got != 1 || in.metric(at) < begin {
		t.Errorf("after a good one: %s is %v, %s %v", success, got, at, in.metric(at))
	}
}
