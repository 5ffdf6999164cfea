package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pushgate/pushgate/internal/redistest"
)

func readRepository(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// examples returns the settings of each configuration that a page shows, with
// the values that all of them together change.
func examples(t *testing.T, page string) (each []settings, together settings) {
	t.Helper()
	dir := t.TempDir()
	secret := filepath.Join(dir, "jwt")
	writeFile(t, secret, strings.Repeat("s", 32))
	certificates := redistest.NewCertificates(t)
	const live = "/etc/letsencrypt/live/push.example.com/"
	files := strings.NewReplacer(live+"fullchain.pem", certificates.Server, live+"privkey.pem", certificates.ServerKey, "/run/credentials/gateway.service/jwt", secret,
		"/etc/gateway/redis/ca.pem", certificates.CA, "/etc/gateway/redis/client.pem", certificates.Client, "/etc/gateway/redis/client.key", certificates.ClientKey)
	read := func(text string) settings {
		file := filepath.Join(dir, "gateway.yaml")
		writeFile(t, file, files.Replace(text))
		fs := keyFlags()
		if err := fs.Parse([]string{"--config", file}); err != nil {
			t.Fatal(err)
		}
		l, err := load(fs, settings.validate)
		if err != nil {
			t.Fatalf("%s shows a configuration that is refused:\n%s\n%v", page, text, err)
		}
		return l.settings
	}
	all := ""
	for _, block := range regexp.MustCompile("(?ms)^( *)```yaml\n(.*?)^ *```").FindAllStringSubmatch(readRepository(t, page), -1) {
		text := regexp.MustCompile("(?m)^"+block[1]).ReplaceAllString(block[2], "")
		if strings.HasPrefix(text, "scrape_configs:") {
			continue
		}
		each = append(each, read(text))
		// The keys of the later block replace those of the one before it.
		for _, key := range regexp.MustCompile(`(?m)^[a-z]+:`).FindAllString(text, -1) {
			all = regexp.MustCompile(`(?m)^`+key+`.*\n(?:[ #].*\n)*`).ReplaceAllString(all, "")
		}
		all += text
	}
	if len(each) < 2 {
		t.Fatalf("%s shows %d configurations", page, len(each))
	}
	return each, read(all)
}

// durations returns the durations in a text that a pattern has as its group.
func durations(t *testing.T, text, pattern string, least int) (all []time.Duration) {
	t.Helper()
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		if _, err := strconv.Atoi(m[1]); err == nil {
			m[1] += "s"
		}
		d, err := time.ParseDuration(m[1])
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	if len(all) < least {
		t.Fatalf("found %q %d times, want %d", pattern, len(all), least)
	}
	return all
}

// lastSeconds are those in which the last clients of a drain close their side.
const lastSeconds = 5 * time.Second

// The stop times that the documents give to supervisors fit the drains that they show.
func TestStopTimesFitTheDrains(t *testing.T) {
	const page = "docs/OPERATIONS.md"
	each, together := examples(t, page)
	stops := durations(t, readRepository(t, "deploy/gateway.service"), `(?m)^TimeoutStopSec=(\w+)$`, 1)
	for _, s := range append(each, together, defaultSettings()) {
		if need := s.Drain.Delay + s.Drain.Timeout + lastSeconds; need >= stops[0] {
			t.Errorf("the unit is stopped after %v, the drain takes %v", stops[0], need)
		}
	}
	d := defaultSettings().Drain
	containers := readRepository(t, page) + readRepository(t, "Dockerfile")
	for _, pattern := range []string{`docker stop -t (\d+)`, `stop_grace_period: (\w+)`, `terminationGracePeriodSeconds: (\d+)`} {
		for _, stop := range durations(t, containers, pattern, 1) {
			if need := d.Delay + d.Timeout + lastSeconds; need >= stop {
				t.Errorf("%s: the container is stopped after %v, the drain takes %v", pattern, stop, need)
			}
		}
	}
}

// A node takes the clients of another one that drains, with the limits on rates
// that the documents show.
func TestRatesLetADrainIn(t *testing.T) {
	_, s := examples(t, "docs/OPERATIONS.md")
	comes := int(float64(s.Limits.Connections) / s.Drain.Timeout.Seconds())
	if s.Limits.AcceptsPerSecond < comes || s.Limits.HandshakesPerSecond < comes {
		t.Errorf("%d clients a second come from another node; %d are accepted and %d handshakes made",
			comes, s.Limits.AcceptsPerSecond, s.Limits.HandshakesPerSecond)
	}
}

// The proxies' files leave a client alone that is silent between two heartbeats,
// or for the longest poll, and give up a connection to the gateway that nothing
// is asked on before the gateway does.
func TestProxiesOutwaitTheGateway(t *testing.T) {
	s := defaultSettings()
	const longestPoll = 55 * time.Second
	nginx, haproxy := readRepository(t, "deploy/nginx.conf"), readRepository(t, "deploy/haproxy.cfg")
	for pattern, text := range map[string]string{
		`(?m)^ *proxy_read_timeout (\w+);`: nginx, `(?m)^ *proxy_send_timeout (\w+);`: nginx,
		`(?m)^ *timeout client (\w+)$`: haproxy, `(?m)^ *timeout server (\w+)$`: haproxy, `(?m)^ *timeout tunnel (\w+)$`: haproxy,
	} {
		if d := durations(t, text, pattern, 1)[0]; d <= s.Heartbeat.Interval+s.Heartbeat.Timeout || d <= longestPoll {
			t.Errorf("%s is %v", pattern, d)
		}
	}
	if strings.Contains(nginx, "keepalive_timeout") {
		t.Error("nginx no longer keeps idle connections to a gateway for its default of 60 s: compare it here")
	}
	if s.Limits.IdleTimeout <= 60*time.Second {
		t.Errorf("the gateway closes idle connections after %v, nginx keeps them for 60 s", s.Limits.IdleTimeout)
	}
}

// The commands with which OPERATIONS.md checks its configuration find it right,
// where the files are that it puts there.
func TestDocumentsCheckTheirConfiguration(t *testing.T) {
	const page = "docs/OPERATIONS.md"
	text := readRepository(t, page)
	_, config, ok := strings.Cut(text, "```yaml\n")
	if !ok {
		t.Fatal("no example")
	}
	config, _, _ = strings.Cut(config, "```")
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "gateway.yaml"), strings.ReplaceAll("\n"+config, "\n   ", "\n"))
	writeFile(t, filepath.Join(dir, "jwt.secret"), strings.Repeat("s", 32)+"\n")
	commands := regexp.MustCompile(`(?m)^ *(?:sudo )?gateway (check .*)$`).FindAllStringSubmatch(text, -1)
	if len(commands) < 2 {
		t.Fatalf("%s checks %d times", page, len(commands))
	}
	for _, c := range commands {
		args := strings.Fields(strings.ReplaceAll(c[1], "/etc/gateway/", dir+"/"))
		if out, err := exec.Command("gateway", args...).CombinedOutput(); err != nil {
			t.Errorf("gateway %s: %v\n%s", c[1], err, out)
		}
	}
}

// The container of OPERATIONS.md with certificates has all that a gateway needs to start: its
// environment replaces the image's.
func TestDocumentsRunAContainerWithTLS(t *testing.T) {
	const page = "docs/OPERATIONS.md"
	_, command, ok := strings.Cut(readRepository(t, page), "docker run -p 443:")
	if !ok {
		t.Fatal("no example")
	}
	command, _, _ = strings.Cut(command, "```")
	made, dir := redistest.NewCertificates(t, "push.example.com"), t.TempDir()
	writeFile(t, filepath.Join(dir, "jwt.secret"), strings.Repeat("s", 32))
	files := strings.NewReplacer("/etc/gateway/tls/tls.crt", made.Server, "/etc/gateway/tls/tls.key", made.ServerKey, "/etc/gateway/", dir+"/")
	var environment []string
	for _, m := range regexp.MustCompile(`(?m)^(?:ENV|   ) (GATEWAY_\w+=\S+)`).FindAllStringSubmatch(readRepository(t, "Dockerfile"), -1) {
		environment = append(environment, m[1])
	}
	for _, m := range regexp.MustCompile(`-e (?:'(GATEWAY_[^']+)'|(GATEWAY_\S+))`).FindAllStringSubmatch(command, -1) {
		environment = append(environment, files.Replace(m[1]+m[2]))
	}
	if len(environment) < 7 {
		t.Fatalf("found %q", environment)
	}
	check := exec.Command("gateway", "check")
	check.Env = append(os.Environ(), environment...)
	out, err := check.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"\nlisten: \"\" # environment", "\n  listen: :8443 # environment", "\n  mode: jwt # environment"} {
		if !strings.Contains("\n"+string(out), want) {
			t.Errorf("the configuration lacks %q:\n%s", want, out)
		}
	}
}
