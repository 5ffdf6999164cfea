package main

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"
)

func TestDurationsInTheLogHaveAUnit(t *testing.T) {
	for _, format := range []string{"json", "text"} {
		var out bytes.Buffer
		log, _ := newLogger(&out, logSettings{Level: "info", Format: format})
		log.Info("draining", "over", 90*time.Second)
		if format == "text" {
			if !bytes.Contains(out.Bytes(), []byte("over=1m30s")) {
				t.Errorf("got %s", &out)
			}
			continue
		}
		var line struct{ Over string }
		if err := json.Unmarshal(out.Bytes(), &line); err != nil || line.Over != "1m30s" {
			t.Errorf("%v: got %s", err, &out)
		}
	}
}
