package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// A client that has seen the first of three durable messages gets the other two under any name of
// its position, on every transport, or an error that the position isn't understood. It never gets
// neither.
func TestPositionsByAnyName(t *testing.T) {
	t.Parallel()
	in := start(t, nil).ready()
	ids := durable(t, in.redis, "c", 0, 3)
	old, newer := ids[0], ids[1]
	const resumes, refused, ignored = "resumes", "refused", "ignored"
	for name, tc := range map[string]struct {
		query, header string
		want          string
		from          string // empty: old
	}{
		"ours":                       {query: "cursor=" + old, want: resumes},
		"as subscribe has it":        {query: "since=" + old, want: resumes},
		"Yaffle's polyfill":          {query: "lastEventId=" + old, want: resumes},
		"amvtek's polyfill":          {query: "evs_last_event_id=" + old, want: resumes},
		"Mercure":                    {query: "lastEventID=" + old, want: resumes},
		"older Mercure":              {query: "Last-Event-ID=" + old, want: resumes},
		"a script":                   {query: "last_event_id=" + old, want: resumes},
		"shouting":                   {query: "CURSOR=" + old, want: resumes},
		"header":                     {header: old, want: resumes},
		"library after page":         {query: "cursor=" + old + "&lastEventId=" + newer, want: resumes, from: newer},
		"library before page":        {query: "lastEventId=" + newer + "&since=" + old, want: resumes, from: newer},
		"header after library":       {query: "lastEventId=" + old, header: newer, want: resumes, from: newer},
		"first time":                 {query: "lastEventId=&cursor=", want: ignored},
		"unreadable":                 {query: "lastEventId=earliest", want: refused},
		"unreadable for a page":      {query: "cursor=undefined", want: refused},
		"unreadable header":          {header: "17", want: refused},
		"strange name":               {query: "last_id=" + old, want: refused},
		"another":                    {query: "offset=12", want: refused},
		"name of the app's":          {query: "message=" + old, want: refused},
		"plain position by its form": {query: "m=" + url.QueryEscape("~"+in.node+"-17"), want: refused},
		"no position at all":         {query: "_=1732345678901&utm_source=a&user=last&v=1.2-3&last_name=smith&lastSeen=today", want: ignored},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.from == "" {
				tc.from = old
			}
			missed := ids[1:]
			if tc.from == newer {
				missed = ids[2:]
			}
			lines := []string{"Connection: close\r\n"}
			if tc.header != "" {
				lines = append(lines, "Last-Event-ID: "+tc.header+"\r\n")
			}
			poll := in.exchange(get("/v1/poll?channels=c&wait=0&"+tc.query, lines...), 0, "GET")
			stream := get("/v1/sse?channels=c&"+tc.query, lines...)
			socket := strings.Replace(upgradeHead, "/v1/ws", "/v1/ws?channels=c&"+tc.query, 1)
			if tc.header != "" {
				socket = strings.TrimSuffix(socket, "\r\n") + "Last-Event-ID: " + tc.header + "\r\n\r\n"
			}
			if tc.want == refused {
				for _, request := range []string{stream, socket} {
					if x := in.exchange(request, 0, "GET"); x.statuses[0] != 400 || !strings.Contains(x.bodies[0], "invalid_position") {
						t.Errorf("%q: %d %s", request, x.statuses[0], x.bodies[0])
					}
				}
				if poll.statuses[0] != 400 || !strings.Contains(poll.bodies[0], "invalid_position") {
					t.Errorf("poll: %d %s", poll.statuses[0], poll.bodies[0])
				}
				return
			}
			if tc.want == ignored {
				if poll.statuses[0] != 204 {
					t.Errorf("poll: %d %s", poll.statuses[0], poll.bodies[0])
				}
				missed = nil
			} else {
				var got struct{ Messages []struct{ ID string } }
				if err := json.Unmarshal([]byte(poll.bodies[0]), &got); err != nil || len(got.Messages) != len(missed) || got.Messages[0].ID != missed[0] {
					t.Errorf("poll: %d %s, want %v", poll.statuses[0], poll.bodies[0], missed)
				}
			}
			s := in.events("/v1/sse?channels=c&"+tc.query, tc.header)
			s.expect("subscribed")
			for _, id := range missed {
				if e, _ := s.expect("message"); e.id != id {
					t.Errorf("event %s, want %s", e.id, id)
				}
			}
			s.resp.Body.Close()
			if tc.header == "" {
				c := in.dial("/v1/ws?channels=c&" + tc.query)
				c.expect("welcome")
				c.expect("subscribed")
				for _, id := range missed {
					if m := c.expect("message"); m.ID != id {
						t.Errorf("message %s, want %s", m.ID, id)
					}
				}
			}
		})
	}
}

// The same names in the JSON that a client sends.
func TestPositionsByAnyNameInJSON(t *testing.T) {
	t.Parallel()
	in := start(t, nil).ready()
	ids := durable(t, in.redis, "c", 0, 2)
	const resumes, refused, ignored = "resumes", "refused", "ignored"
	for fields, want := range map[string]struct{ message, body string }{
		`"since":"ID"`:                        {resumes, resumes},
		`"cursor":"ID"`:                       {resumes, resumes},
		`"Since":"ID"`:                        {resumes, resumes},
		`"cursor":"ID","last_id":"ID"`:        {resumes, refused},
		`"last_id":"ID"`:                      {refused, refused},
		`"lastEventId":"ID"`:                  {refused, refused},
		`"offset":12`:                         {refused, refused},
		`"mine":"ID"`:                         {refused, refused},
		`"since":"undefined"`:                 {refused, refused},
		`"since":17`:                          {refused, refused},
		`"since":null`:                        {ignored, ignored},
		`"since":""`:                          {ignored, ignored},
		`"last_id":null`:                      {ignored, refused},
		`"mine":{"last_id":"ID"},"other":[1]`: {ignored, refused},
	} {
		fields = strings.ReplaceAll(fields, "ID", ids[0])
		t.Run(fields, func(t *testing.T) {
			c := in.dial("/v1/ws")
			c.expect("welcome")
			c.write(`{"type":"subscribe","channel":"c",` + fields + `}`)
			if want.message == refused {
				if e := c.expect("error"); e.Channel != "c" || e.Code != "invalid_position" && e.Code != "bad_message" {
					t.Errorf("refused with %+v", e)
				}
			} else {
				c.expect("subscribed")
				if want.message == ignored {
					c.write(`{"type":"ping"}`)
					c.expect("pong")
				} else if m := c.expect("message"); m.ID != ids[1] {
					t.Errorf("got %+v", m)
				}
			}
			status := map[string]int{resumes: 200, refused: 400, ignored: 204}[want.body]
			if x := in.exchange(post("/v1/poll", `{"channels":["c"],"wait":0,`+fields+`}`), 0, "POST"); x.statuses[0] != status {
				t.Errorf("poll: %d %s, want %d", x.statuses[0], x.bodies[0], status)
			}
		})
	}
	// A position beside the body would be lost.
	for _, beside := range []struct{ query, header string }{
		{"?cursor=" + ids[0], ""}, {"?lastEventId=" + ids[0], ""}, {"?m=" + ids[0], ""}, {"", "Last-Event-ID: " + ids[0] + "\r\n"},
	} {
		x := in.exchange(post("/v1/poll"+beside.query, `{"channels":["c"],"wait":0}`, beside.header), 0, "POST")
		if x.statuses[0] != 400 || !strings.Contains(x.bodies[0], "invalid_position") {
			t.Errorf("%+v: %d %s", beside, x.statuses[0], x.bodies[0])
		}
	}
	x := in.exchange(post("/v1/poll?_=17&token=x&cursor=", fmt.Sprintf(`{"channels":["c"],"wait":0,"cursor":%q}`, ids[0])), 0, "POST")
	if x.statuses[0] != 200 {
		t.Errorf("%d %s", x.statuses[0], x.bodies[0])
	}
}
