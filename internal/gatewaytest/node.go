// Package gatewaytest runs the gateway for tests, as a program, and queries it as an operator
// does. It imports nothing of the gateway, so that its own tests can use it.
package gatewaytest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Patience is the longest wait for a condition. Chromium's start alone takes 20 s where the
// machine has other work.
const Patience = 90 * time.Second

// Eventually fails the test unless fn becomes true. It calls fn every few milliseconds.
func Eventually(t testing.TB, what string, fn func() bool) {
	t.Helper()
	for end := time.Now().Add(Patience); !fn(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still not after %v: %s", Patience, what)
		}
	}
}

// Once makes one request on one connection.
var Once = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: Patience}

// Request makes a request and returns the status and the body of its answer.
func Request(method, url, body string) (status int, answer string, err error) {
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	resp, err := Once.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

// Get returns the status and the body of an answer.
func Get(t testing.TB, url string) (status int, body string) {
	t.Helper()
	status, body, err := Request("GET", url, "")
	if err != nil {
		t.Fatal(err)
	}
	return status, body
}

// Call makes a request and reads the JSON of its answer into out, unless that is nil.
func Call(t testing.TB, method, url, body string, out any) (status int) {
	t.Helper()
	status, answer, err := Request(method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	if out != nil {
		if err := json.Unmarshal([]byte(answer), out); err != nil {
			t.Fatalf("%s %s: %s is not JSON: %v", method, url, answer, err)
		}
	}
	return status
}

// Metric returns the value of one series of the gateway whose admin listener is at an
// address, with its labels as in gateway_closes_total{reason="drain"}, and 0 when it
// isn't there. One that ends with a brace is the sum of all series of that name.
func Metric(t testing.TB, admin, series string) (sum float64) {
	t.Helper()
	_, body := Get(t, "http://"+admin+"/metrics")
	if !strings.HasSuffix(series, "{") {
		series += " "
	}
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, series) {
			var v float64
			if _, err := fmt.Sscan(line[strings.LastIndexByte(line, ' ')+1:], &v); err != nil {
				t.Fatal(err)
			}
			sum += v
		}
	}
	return sum
}
