// Package web holds the console, a page for watching channels, and the
// browser client that it is built on.
package web

import (
	"embed"
	"encoding/json"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
)

//go:embed console client.js
var files embed.FS

// prefix is where the console is mounted.
const prefix = "/console/"

// contentPolicy lets the page load nothing but its own files, and connect to
// whatever address is typed in.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; " +
	"connect-src 'self' ws: wss:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"

// Addresses are where clients connect to, host:port each, which is another origin
// than the page's; empty without such a listener, or where no browser can reach it.
type Addresses struct {
	Public string `json:"public"`
	TLS    string `json:"tls"`
}

// Handler serves the console under /console/. It asks for the addresses at each
// request, with the host in the page's own address. A public address of the form
// unix:/path counts as none.
func Handler(addresses func(host string) Addresses) http.Handler {
	pages, err := fs.Sub(files, "console")
	if err != nil {
		panic(err) // the directory is compiled in
	}
	mux := http.NewServeMux()
	mux.Handle("GET "+prefix, http.StripPrefix(prefix, http.FileServerFS(pages)))
	mux.HandleFunc("GET "+prefix+"client.js", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, files, "client.js")
	})
	mux.HandleFunc("GET "+prefix+"config.json", func(w http.ResponseWriter, r *http.Request) {
		writeConfig(w, addresses((&url.URL{Host: r.Host}).Hostname()))
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache")
		mux.ServeHTTP(w, r)
	})
}

// writeConfig tells the page where the clients connect to.
func writeConfig(w http.ResponseWriter, a Addresses) {
	if strings.HasPrefix(a.Public, "unix:") {
		a.Public = ""
	}
	w.Header().Set("Content-Type", "application/json")
	// A page that went away needs no answer.
	_ = json.NewEncoder(w).Encode(a)
}
