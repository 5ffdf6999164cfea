package address

import (
	"strings"
	"testing"
)

func TestSplit(t *testing.T) {
	for addr, want := range map[string]struct {
		host string
		port uint16
		err  string // part of the error
	}{
		"127.0.0.1:8080":        {"127.0.0.1", 8080, ""},
		":8080":                 {"", 8080, ""},
		"[::1]:0":               {"::1", 0, ""},
		"[fe80::1%eth0]:80":     {"fe80::1%eth0", 80, ""},
		"my-host.example_1.:80": {"my-host.example_1.", 80, ""},
		"localhost:65535":       {"localhost", 65535, ""},
		"":                      {err: "host:port"},
		"127.0.0.1":             {err: "host:port"},
		"8080":                  {err: "host:port"},
		"::1:8080":              {err: "host:port"},
		"host:http":             {err: "host:port"},
		"host:+80":              {err: "host:port"},
		"host:":                 {err: "port from 0 to 65535"},
		"host:65536":            {err: "port from 0 to 65535"},
		"host:99999999999999":   {err: "port from 0 to 65535"},
		"*:8080":                {err: `":8080", which is every address`},
		"http://host:80":        {err: "without a scheme"},
		"127.0.0.256:80":        {err: "address of a host"},
		"127.1:80":              {err: "address of a host"},
		"a b:80":                {err: "address of a host"},
		"a,b:80":                {err: "address of a host"},
		"user@host:80":          {err: "address of a host"},
		"host/path:80":          {err: "address of a host"},
		"a..b:80":               {err: "address of a host"},
		"[host]:80":             {"host", 80, ""},
	} {
		host, port, err := Split(addr)
		if err != nil && (want.err == "" || !strings.Contains(err.Error(), want.err)) || err == nil && want.err != "" || host != want.host || port != want.port {
			t.Errorf("%q: %q, %d, %v", addr, host, port, err)
		}
	}
}

func TestOverlap(t *testing.T) {
	for pair, want := range map[[2]string]bool{
		{"127.0.0.1:80", "127.0.0.1:80"}:     true,
		{"127.0.0.1:80", "localhost:80"}:     true,
		{"127.0.0.1:80", ":80"}:              true,
		{"127.0.0.1:80", "0.0.0.0:80"}:       true,
		{"127.0.0.1:80", "[::]:80"}:          true,
		{"[::1]:80", "[::]:80"}:              true,
		{"name:80", "name:80"}:               true,
		{"[::1]:80", "0.0.0.0:80"}:           false,
		{"127.0.0.1:80", "127.0.0.1:81"}:     false,
		{"127.0.0.1:80", "127.0.0.2:80"}:     false,
		{"127.0.0.1:80", "[::1]:80"}:         false,
		{"127.0.0.1:0", "127.0.0.1:0"}:       false,
		{"unix:/run/x", "127.0.0.1:80"}:      false,
		{"name:80", "other:80"}:              false,
		{"[::ffff:127.0.0.1]:80", "[::]:80"}: true,
	} {
		if Overlap(pair[0], pair[1]) != want || Overlap(pair[1], pair[0]) != want {
			t.Errorf("%v: want %v", pair, want)
		}
	}
}

func TestIsLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"127.0.0.1": true, "127.9.9.9": true, "::1": true, "::ffff:127.0.0.1": true, "localhost": true,
		"": false, "0.0.0.0": false, "::": false, "10.0.0.1": false, "localhost.example": false,
	} {
		if got := IsLoopback(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
}
