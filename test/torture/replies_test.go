package torture

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/gobwas/ws"

	"github.com/pushgate/pushgate/internal/wsframe"
)

// replies reads a gateway's output over one connection, and checks it against the protocols. It
// belongs to the reading goroutine.
type replies struct {
	positions []string // of messages and cursors
	raw       bool     // a WebSocket whose frames aren't JSON
}

// badReply is a reply that no gateway may send.
type badReply struct{ what string }

func (e *badReply) Error() string { return "a bad reply: " + e.what }

func bad(format string, args ...any) error { return &badReply{fmt.Sprintf(format, args...)} }

var statusLine = regexp.MustCompile(`^HTTP/1\.1 ([1-5][0-9][0-9]) [A-Za-z0-9 -]+\r\n$`)

// read reads until the connection ends. A reply truncated by that is no fault.
func (r *replies) read(b *bufio.Reader) error {
	for {
		line, err := b.ReadString('\n')
		if err != nil {
			return err
		}
		found := statusLine.FindStringSubmatch(line)
		if found == nil {
			return bad("the status line %.200q", line)
		}
		status, _ := strconv.Atoi(found[1])
		header, err := readHeader(b)
		if err != nil {
			return err
		}
		switch {
		case status == 101:
			return r.frames(b)
		case status == 100 || status == 204 || status == 304:
			if header["content-length"] != "" && status != 304 {
				return bad("%d with a Content-Length", status)
			}
			r.position(header["poll-cursor"])
			continue
		case header["content-type"] == "text/event-stream" && header["content-length"] == "":
			return r.events(b)
		}
		if err := r.body(b, header); err != nil {
			return err
		}
	}
}

// readHeader reads a head's lines, by their names in lower case.
func readHeader(b *bufio.Reader) (map[string]string, error) {
	header := map[string]string{}
	for {
		line, err := b.ReadString('\n')
		if err != nil {
			return nil, err
		}
		if line == "\r\n" {
			return header, nil
		}
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\r\n"), ": ")
		if !ok || !strings.HasSuffix(line, "\r\n") || strings.ContainsAny(name, " \t") || strings.ContainsAny(value, "\r\x00") {
			return nil, bad("the header line %.200q", line)
		}
		name = strings.ToLower(name)
		if _, twice := header[name]; twice && name != "vary" {
			return nil, bad("%s twice", name)
		}
		header[name] = value
	}
}

// body reads a body of a given length. The answer to a HEAD has a length and no body: the next
// answer follows it, or the end.
func (r *replies) body(b *bufio.Reader, header map[string]string) error {
	n, err := strconv.Atoi(header["content-length"])
	if err != nil {
		return bad("no length, among %v", header)
	}
	if n == 0 {
		return nil
	}
	if next, err := b.Peek(min(n, 9)); err != nil || bytes.HasPrefix([]byte("HTTP/1.1 "), next) {
		return err
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(b, text); err != nil {
		return err
	}
	if strings.HasPrefix(header["content-type"], "application/json") {
		var answer struct {
			Cursor   string
			Messages []json.RawMessage
		}
		if err := json.Unmarshal(text, &answer); err != nil {
			return bad("the body %.300q: %v", text, err)
		}
		r.position(answer.Cursor)
	}
	return nil
}

func (r *replies) position(p string) {
	if p != "" && len(r.positions) < 20 {
		r.positions = append(r.positions, p)
	}
}

// eventFields are the fields that an event of the gateway may have.
var eventFields = map[string]bool{"event": true, "data": true, "id": true, "retry": true, "": true}

// events reads an event stream to its end.
func (r *replies) events(b *bufio.Reader) error {
	name, data := "message", ""
	for {
		line, err := b.ReadString('\n')
		if err != nil {
			return err
		}
		if strings.HasPrefix(line, "HTTP/1.1 ") {
			return bad("an answer within an event stream: %.200q", line)
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		if field = strings.TrimSuffix(field, ":"); !eventFields[field] {
			return bad("the line %.200q of an event stream", line)
		}
		switch field {
		case "event":
			name = value
		case "data":
			data = value
		case "id":
			r.position(value)
		case "":
			if line == "\n" {
				if name != "message" && name != "message_base64" && data != "" && !json.Valid([]byte(data)) {
					return bad("the event %s with %.300q", name, data)
				}
				name, data = "message", ""
			}
		}
	}
}

// opening matches the first frame of a WebSocket. Any other is a bare payload, or an echo: the
// clients say nothing of the kind.
var opening = regexp.MustCompile(`^{"type":"(welcome|bye|error)"`)

// frames reads a WebSocket to its end.
func (r *replies) frames(b *bufio.Reader) error {
	reader := wsframe.NewReader(wsframe.Client, 32<<20)
	var message []byte
	closed := false
	buf := make([]byte, 16<<10)
	first := true
	for {
		n, err := b.Read(buf)
		if err != nil {
			return err
		}
		for p := buf[:n]; len(p) > 0; {
			if closed {
				return bad("%d bytes after a close frame: %.100q", len(p), p)
			}
			ev, n, err := reader.Next(p)
			if err != nil {
				return bad("a frame: %v, at %.100q", err, p)
			}
			p = p[n:]
			switch ev.Kind {
			case wsframe.Data:
				message = append(message, ev.Payload...)
				if !ev.Final {
					continue
				}
				if first {
					r.raw = !opening.Match(message)
					first = false
				}
				if !r.raw {
					if err := r.message(ev.Op, message); err != nil {
						return err
					}
				}
				message = message[:0]
			case wsframe.Close:
				closed = true
				if ev.Code != ws.StatusNoStatusRcvd && ev.Code < 1000 {
					return bad("the close code %d", ev.Code)
				}
			}
		}
	}
}

// message judges a text frame of the gateway's protocol.
func (r *replies) message(op ws.OpCode, text []byte) error {
	var m struct{ Type, ID string }
	if err := json.Unmarshal(text, &m); err != nil || m.Type == "" || op != ws.OpText {
		return bad("the frame %.300q: %v", text, err)
	}
	r.position(m.ID)
	return nil
}
