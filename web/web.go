// Package web holds the console, a page for watching channels, and the
// browser client that it is built on.
package web

import (
	"embed"
	"encoding/json"
	"io/fs"
	"net/http"
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

// Handler serves the console under /console/. publicAddr is asked at each
// request for the bound address of the public listener, which is another
// origin than the page's: host:port, or unix:/path, which no browser can
// reach.
func Handler(publicAddr func() string) http.Handler {
	pages, err := fs.Sub(files, "console")
	if err != nil {
		panic(err) // the directory is compiled in
	}
	mux := http.NewServeMux()
	mux.Handle("GET "+prefix, http.StripPrefix(prefix, http.FileServerFS(pages)))
	mux.HandleFunc("GET "+prefix+"client.js", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, files, "client.js")
	})
	mux.HandleFunc("GET "+prefix+"config.json", func(w http.ResponseWriter, _ *http.Request) {
		writeConfig(w, publicAddr())
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

// writeConfig tells the page where the clients connect to; empty when a
// browser can't.
func writeConfig(w http.ResponseWriter, public string) {
	if strings.HasPrefix(public, "unix:") {
		public = ""
	}
	w.Header().Set("Content-Type", "application/json")
	// A page that went away needs no answer.
	_ = json.NewEncoder(w).Encode(map[string]string{"public": public})
}
