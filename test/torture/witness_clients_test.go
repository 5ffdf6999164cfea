package torture

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// header returns the additional header of its requests.
func (w *witness) header() http.Header {
	h := http.Header{}
	if w.token != "" {
		h.Set("Authorization", "Bearer "+w.token)
	}
	return h
}

// heard is a message to a WebSocket or an event stream.
type heard struct {
	Type, Channel, ID, Reason, Code string
	Data                            json.RawMessage
}

// webSocket is a WebSocket that subscribes by messages.
func (w *witness) webSocket(ctx context.Context) {
	dialer := &websocket.Dialer{HandshakeTimeout: patience}
	for ; ctx.Err() == nil; w.await(ctx) {
		conn, resp, err := dialer.DialContext(ctx, "ws://"+w.r.gateway.public+"/v1/ws", w.header())
		if err != nil {
			if resp != nil && resp.StatusCode != 503 && resp.StatusCode != 429 {
				w.fault("the witness %s is refused with %s", w.name, resp.Status)
			}
			continue
		}
		stop := context.AfterFunc(ctx, func() { conn.Close() })
		w.overWebSocket(conn)
		stop()
		conn.Close()
	}
}

func (w *witness) overWebSocket(conn *websocket.Conn) {
	w.journal.note("open")
	w.back()
	for _, channel := range w.channels() {
		text, _ := json.Marshal(map[string]string{"type": "subscribe", "channel": channel, "since": w.books[channel].position})
		if conn.WriteMessage(websocket.TextMessage, text) != nil {
			return
		}
	}
	waits := len(w.books)
	for {
		_, text, err := conn.ReadMessage()
		if err != nil {
			w.journal.note("%v", err)
			return
		}
		var m heard
		if err := json.Unmarshal(text, &m); err != nil {
			w.fault("the witness %s got %q: %v", w.name, text, err)
			return
		}
		switch m.Type {
		case "subscribed":
			b := w.books[m.Channel]
			b.position = m.ID
			if waits--; waits == 0 {
				w.isPlaced()
			}
		case "message":
			w.message(m.Channel, m.Data)
			w.books[m.Channel].position = m.ID
		case "gap":
			w.gapped(m.Channel, m.Reason)
		case "error":
			w.journal.note("error %s", m.Code)
			return // it reconnects and subscribes again
		}
	}
}

// events is an event stream, which reconnects with the last id: line.
func (w *witness) events(ctx context.Context) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	id := ""
	for ; ctx.Err() == nil; w.await(ctx) {
		req, err := http.NewRequestWithContext(ctx, "GET", "http://"+w.r.gateway.public+"/v1/sse?channels="+strings.Join(w.channels(), ","), nil)
		if err != nil {
			w.fault("%v", err)
			return
		}
		req.Header = w.header()
		if id != "" {
			req.Header.Set("Last-Event-ID", id)
		}
		resp, err := client.Do(req)
		if err != nil {
			continue
		}
		if resp.StatusCode == 200 {
			w.journal.note("open after %s", id)
			w.overEvents(resp.Body, &id)
		} else if resp.StatusCode != 503 && resp.StatusCode != 429 && resp.StatusCode != 408 {
			w.fault("the witness %s is refused with %s", w.name, resp.Status)
		}
		resp.Body.Close()
	}
}

func (w *witness) overEvents(body io.Reader, id *string) {
	w.back()
	waits := len(w.books)
	var data string
	next := *id
	for lines := bufio.NewReader(body); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			w.journal.note("%v", err)
			return
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch field {
		case "id":
			next = value
		case "data":
			data = value
		case "": // the end of an event, with which its id counts too
			*id = next
			var m heard
			if err := json.Unmarshal([]byte(data), &m); data != "" && err != nil {
				w.fault("the witness %s got %q: %v", w.name, data, err)
				return
			}
			data = ""
			switch m.Type {
			case "subscribed":
				waits--
			case "message":
				w.message(m.Channel, m.Data)
			case "gap":
				w.gapped(m.Channel, m.Reason)
			case "bye":
				w.journal.note("bye %s", m.Reason)
			}
			if waits <= 0 && *id != "" {
				w.isPlaced()
			}
		}
	}
}

// polls asks again and again with the last answer's cursor.
func (w *witness) polls(ctx context.Context) {
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	cursor := ""
	for ctx.Err() == nil {
		wait := 2
		if cursor == "" {
			wait = 0
		}
		if !w.poll(ctx, client, &cursor, wait) {
			w.await(ctx)
		}
	}
}

// poll makes one poll, and reports whether it was answered.
func (w *witness) poll(ctx context.Context, client *http.Client, cursor *string, wait int) bool {
	at := "http://" + w.r.gateway.public + "/v1/poll"
	method, body := "POST", []byte(nil)
	if len(w.books) == 1 || w.random.IntN(2) == 0 {
		method = "GET"
		at += "?" + url.Values{"channels": {strings.Join(w.channels(), ",")}, "cursor": {*cursor}, "wait": {string(rune('0' + wait))}, "max": {"20"}}.Encode()
	} else {
		body, _ = json.Marshal(map[string]any{"channels": w.channels(), "cursor": *cursor, "wait": wait, "max": 20})
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, at, bytes.NewReader(body))
	if err != nil {
		w.fault("%v", err)
		return false
	}
	req.Header = w.header()
	begun := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		w.journal.note("%v", err)
		return false
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.journal.note("%v", err)
		return false
	}
	switch resp.StatusCode {
	case 204:
		*cursor = resp.Header.Get("Poll-Cursor")
		w.journal.note("nothing after %v", time.Since(begun).Round(time.Millisecond))
	case 200:
		var a struct {
			Cursor   string
			Messages []heard
			Gaps     []string
		}
		if err := json.Unmarshal(text, &a); err != nil {
			w.fault("the witness %s got %q: %v", w.name, text, err)
			return false
		}
		w.back()
		for _, channel := range a.Gaps {
			w.gapped(channel, "")
		}
		for _, m := range a.Messages {
			w.message(m.Channel, m.Data)
		}
		*cursor = a.Cursor
	case 408, 429, 503:
		w.journal.note("%s", text)
		return false
	default:
		w.fault("the witness %s is answered %s: %s", w.name, resp.Status, text)
		return false
	}
	w.isPlaced()
	return true
}
