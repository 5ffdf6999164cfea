package main

import (
	"strings"
	"testing"
)

func TestWelcome(t *testing.T) {
	full := welcome{
		program: "bin/gateway", public: "127.0.0.1:8080", admin: "127.0.0.1:8081",
		embedded: "127.0.0.1:6380", prefix: "push:",
	}
	for name, test := range map[string]struct {
		change func(w *welcome)
		want   []string
		absent []string
	}{
		"defaults": {
			want: []string{
				"curl -N 'http://127.0.0.1:8080/v1/sse?channels=news'\n",
				"http://127.0.0.1:8081/console/ ",
				"redis-cli -h 127.0.0.1 -p 6380 publish push:news hello\n",
				"  bin/gateway publish news hello\n",
			},
		},
		"every address is dialled as this machine": {
			change: func(w *welcome) { w.public = "[::]:8080" },
			want:   []string{"'ws://127.0.0.1:8080/v1/ws?channels=news'"},
		},
		"another embedded address": {
			change: func(w *welcome) { w.embedded = "127.0.0.1:7000" },
			want:   []string{"-p 7000 ", "  bin/gateway publish news hello --redis.embedded 127.0.0.1:7000\n"},
		},
		"no admin listener": {
			change: func(w *welcome) { w.admin = "" },
			want:   []string{"/v1/sse"},
			absent: []string{"console"},
		},
		"a socket can't be opened by these programs": {
			change: func(w *welcome) { w.public = "unix:/run/gateway.sock" },
			want:   []string{"publish push:news hello"},
			absent: []string{"/v1/", "unix:"},
		},
		"a real Redis": {
			change: func(w *welcome) { w.embedded = "" },
			absent: []string{"publish", "curl"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := full
			if test.change != nil {
				test.change(&w)
			}
			var out strings.Builder
			writeWelcome(&out, w)
			for _, want := range test.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("lacks %q:\n%s", want, &out)
				}
			}
			for _, absent := range test.absent {
				if strings.Contains(out.String(), absent) {
					t.Errorf("has %q:\n%s", absent, &out)
				}
			}
		})
	}
}
