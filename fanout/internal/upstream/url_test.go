package upstream

import (
	"testing"
)

func TestSlot(t *testing.T) {
	// The first is the check value of CRC-16/XMODEM, the others are of
	// CLUSTER KEYSLOT.
	for name, want := range map[string]int{"123456789": 0x31c3, "push:news": 953, "": 0} {
		if got := Slot(name); got != want {
			t.Errorf("%q is in slot %d, want %d", name, got, want)
		}
	}
}

func TestURLs(t *testing.T) {
	for url, kind := range map[string]string{
		"redis://127.0.0.1:6379/2":                                "single",
		"rediss://user:pass@a":                                    "single",
		"unix:///run/redis.sock":                                  "single",
		"redis+sentinel://a:26379?master_name=m&addr=b:26379":     "sentinel",
		"rediss+sentinel://:p@a/3?master_name=m&password=q":       "sentinel",
		"redis+cluster://user:pass@a:7000?addr=b:7000&addr=c:700": "cluster",
		"redis+sentinel://a:26379":                                "", // no name
		"redis+sentinel://a?master_name=m&replica_only=true":      "",
		"redis+cluster://a?read_only=true":                        "",
		"redis+cluster://a?route_randomly=true":                   "",
		"redis+cluster://a:7000/3":                                "cluster",
		"redis+else://a":                                          "",
		"redis://a?addr=b:6379":                                   "",
		"sentinel://a":                                            "",
		"+cluster://a":                                            "",
	} {
		p, err := parseURL(url)
		got := ""
		switch {
		case err != nil:
		case p.single != nil:
			got = "single"
		case p.sentinel != nil:
			got = "sentinel"
		case p.cluster != nil:
			got = "cluster"
		}
		if got != kind {
			t.Errorf("%s is %q, want %q: %v", url, got, kind, err)
		}
	}
}
