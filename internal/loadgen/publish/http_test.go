package publish

import (
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/pushgate/pushgate/internal/loadgen/plan"
)

var testLimits = plan.HostLimits{Descriptors: 20000, Ports: 28232}

// After a failed POST nothing more is sent, and the fate of each is known.
func TestPublishURLFates(t *testing.T) {
	var mu sync.Mutex
	var bodies []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		bodies = append(bodies, fmt.Sprintf("%s %s %s %s %s", r.Method, r.URL, r.Header.Get("X-Key"), r.Header.Get("Content-Type"), body))
		switch len(bodies) {
		case 2:
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(400)
			w.Write([]byte(`{"error":{"message":"not today"}}`))
		case 3:
			panic(http.ErrAbortHandler)
		}
	}))
	defer s.Close()
	c := plan.DefaultConfig()
	c.PublishURL, c.PublishBody, c.PublishHeaders = s.URL+"/p?c={channel}", `{"m":"{message}"}`, []string{"X-Key: k: v"}
	p, err := New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	batch := []Message{{"a&b", []byte("1")}, {"c", []byte("2")}, {"d", []byte("3")}}
	if results, err := p.Publish(t.Context(), batch); err == nil || !strings.Contains(err.Error(), "HTTP 400: not today") || fmt.Sprint(results) != fmt.Sprint([]Result{Taken, Refused, Unsent}) {
		t.Errorf("results %v, error %v", results, err)
	}
	if results, err := p.Publish(t.Context(), batch[2:]); err == nil || results[0] != Unknown {
		t.Errorf("results %v, error %v", results, err)
	}
	mu.Lock()
	defer mu.Unlock()
	if want := `POST /p?c=a%26b k: v application/json {"m":"1"}`; len(bodies) != 3 || bodies[0] != want {
		t.Errorf("%q, want %q", bodies, want)
	}
	s.Close()
	if results, err := p.Publish(t.Context(), batch[:1]); err == nil || results[0] != Unsent {
		t.Errorf("results %v, error %v", results, err)
	}
	if _, err := New(t.Context(), c); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("error %v: nobody listens", err)
	}
}

// --ca, --insecure and a Host of one's own count for --publish-url, too.
func TestPublishURLSecure(t *testing.T) {
	var host string
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { host = r.Host }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		ca       string
		insecure bool
		want     string
	}{
		"authority":   {ca, false, ""},
		"not checked": {"", true, ""},
		"unknown":     {"", false, "certificate signed by unknown authority"},
		"no file":     {ca + "x", false, "--ca"},
	} {
		t.Run(name, func(t *testing.T) {
			c := plan.DefaultConfig()
			c.URL, c.PublishURL, c.PublishHeaders, c.CA, c.Insecure = "ws://127.0.0.1/", s.URL, []string{"Host: push.example"}, test.ca, test.insecure
			p, err := New(t.Context(), c)
			if err == nil {
				defer p.Close()
				_, err = p.Publish(t.Context(), []Message{{"a", []byte("1")}})
			}
			if test.want == "" && (err != nil || host != "push.example") || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("host %q, error %v, want %q", host, err, test.want)
			}
			if _, err := plan.New(t.Context(), c, testLimits); (err == nil) != (test.want != "--ca") {
				t.Errorf("error %v", err)
			}
		})
	}
}
