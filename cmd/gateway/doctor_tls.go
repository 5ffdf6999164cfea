package main

import (
	"strings"
	"time"

	"github.com/pushgate/pushgate/gateway/certs"
	"github.com/pushgate/pushgate/internal/preflight"
)

// examineTLS returns a row for each file of the section tls, and one for each thing wrong with it.
func examineTLS(cfg certs.Config, now time.Time) []preflight.Finding {
	if cfg.Address() == "" {
		return []preflight.Finding{tlsRow("tls.certificates", preflight.Skip, "", "no TLS listener: tls.listen is empty")}
	}
	set, err := certs.Load(cfg)
	if err != nil {
		return unusableFiles(err)
	}
	findings := map[string][]preflight.Finding{} // by key
	for _, f := range set.Findings(now) {
		row := tlsRow(f.Key, preflight.Fix, f.Name, f.Problem)
		row.Fix = f.Advice
		if f.Severity == certs.Warning {
			row.Verdict = preflight.Warn
		}
		findings[f.Key] = append(findings[f.Key], row)
	}
	var rows []preflight.Finding
	add := func(key, value, why string) {
		if found := findings[key]; found != nil {
			rows = append(rows, found...)
		} else {
			rows = append(rows, tlsRow(key, preflight.Pass, value, why))
		}
	}
	for _, c := range set.Certificates() {
		add(c.Key, c.Name+", "+c.KeyType+", until "+c.NotAfter.UTC().Format(time.DateOnly), "clients refuse one that is expired or lacks a part of its chain")
	}
	if cfg.ClientCAFile != "" {
		add("tls.client_ca_file", cfg.ClientCAFile, "clients without a certificate of these authorities are refused")
	}
	if cfg.TicketKeyFile != "" {
		add("tls.ticket_key_file", cfg.TicketKeyFile, "nodes with other keys make a client's handshake a full one")
	}
	return rows
}

// unusableFiles returns a row for each error of certs.Load.
func unusableFiles(err error) (rows []preflight.Finding) {
	for _, p := range (configError{}).add(err, nil) {
		key, text, _ := strings.Cut(p.text, ": ")
		row := tlsRow(key, preflight.Fix, "", text)
		row.Fix = "correct the file, or " + key
		rows = append(rows, row)
	}
	return rows
}

func tlsRow(key string, verdict preflight.Verdict, value, why string) preflight.Finding {
	return preflight.Finding{Name: key, Side: preflight.Server, Verdict: verdict, Value: value, Why: why}
}
