package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// Each alert says how urgent it is and links to a section with the remedy.
func TestAlertsHaveRunbooks(t *testing.T) {
	text, err := os.ReadFile("../../deploy/prometheus-rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr         string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	const page = "docs/RUNBOOK.md"
	runbook, err := os.ReadFile("../../" + page)
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]bool{}
	for _, title := range regexp.MustCompile(`(?m)^## (\w+)$`).FindAllStringSubmatch(string(runbook), -1) {
		sections[title[1]] = true
	}
	alerts := 0
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			alerts++
			if s := rule.Labels["severity"]; s != "critical" && s != "warning" {
				t.Errorf("%s has severity %q", rule.Alert, s)
			}
			if got, want := rule.Annotations["runbook_url"], page+"#"+strings.ToLower(rule.Alert); got != want {
				t.Errorf("%s links to %q, want %q", rule.Alert, got, want)
			}
			if !sections[rule.Alert] {
				t.Errorf("%s has no section %s", page, rule.Alert)
			}
			delete(sections, rule.Alert)
		}
	}
	if alerts < 10 {
		t.Errorf("found %d alerts", alerts)
	}
	for section := range sections {
		t.Errorf("%s has a section %s for no alert", page, section)
	}
}
