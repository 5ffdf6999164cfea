// Package longpoll serves requests for messages that wait until there is one.
package longpoll

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/fanout/index"
	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/gateway/auth"
	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/client"
	"github.com/pushgate/pushgate/gateway/internal/conn"
	"github.com/pushgate/pushgate/gateway/internal/httpconn"
	"github.com/pushgate/pushgate/gateway/internal/position"
	"github.com/pushgate/pushgate/gateway/internal/protocol"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/gateway/internal/slab"
	"github.com/pushgate/pushgate/gateway/jsontext"
)

// Flags of a client in its Own.Flags.
const (
	flagWoken = 1 << iota // it has messages
	flagEarly             // it waits for a message to know its position
	flagSetup             // its channels haven't all begun, see setup
)

// Polls is the protocol. A client's Own.Number is the most messages in its response.
type Polls struct {
	client.Streams
	kind      client.Kind
	setups    slab.ByKey[setup]
	wakeups   wakeups
	responder responder

	// OnWoken, in tests, is called when polls are woken and have no response yet.
	OnWoken func()
}

// setup is a poll whose channels haven't all begun. A waiting poll has none: it is a client with
// subscriptions, whose start numbers are its position.
type setup struct {
	pending int    // channels that the broker hasn't confirmed yet
	due     uint32 // tick at which its wait ends
	resume  position.Resume
	missed  []missed
	bytes   int  // of missed messages
	news    bool // something was missed
}

// Register adds the endpoint to a loop.
func Register(h *client.Hub) *Polls {
	p := &Polls{Streams: client.Streams{Hub: h}}
	p.wakeups.polls, p.responder.polls = p, p
	p.kind = h.Register(p)
	h.HTTP.Handle(&httpconn.Route{Path: "/v1/poll", Methods: []string{"GET", "HEAD", "POST"}, Endpoint: p})
	return p
}

func (*Polls) Name() string { return "poll" }

// Form is an element of the response's list, a message object or its bare payload.
func (*Polls) Form(raw bool) message.Form {
	if raw {
		return message.FormData
	}
	return message.FormJSON
}

// Answers: a client gets its messages in one response.
func (*Polls) Answers() bool { return true }

// setupOf returns the setup of a poll, nil if its channels have begun.
func (p *Polls) setupOf(i uint32) *setup {
	if p.Hub.Own(i).Flags&flagSetup == 0 {
		return nil
	}
	return p.setups.Get(i)
}

// missed is a channel's history for a poll, from before it subscribed.
type missed struct {
	channel  index.Channel
	messages []*message.Message
	before   message.Position // durable, just before these
	gap      bool
	newest   bool // it has no position and asked for the newest
	more     bool // the stream continues behind them
	end      message.Position
}

// sortMissed sorts the missed messages by channel, for missedOf.
func (p *setup) sortMissed() {
	slices.SortFunc(p.missed, func(a, b missed) int { return cmp.Compare(a.channel, b.channel) })
}

// add adds a channel's history, truncated to one message once there is enough for a response.
func (p *setup) add(m missed) {
	if n := len(m.messages); n > 1 && p.bytes > ResponseBytes && m.messages[0].ID.Durable() {
		m.messages, m.more, m.end = slices.Clone(m.messages[:1]), true, m.messages[0].ID
	}
	for _, one := range m.messages {
		p.bytes += len(one.Payload)
	}
	p.missed = append(p.missed, m)
}

// missedOf returns a channel's history for the poll, nil if it requested none or is no longer
// waiting.
func (p *setup) missedOf(ch index.Channel) *missed {
	if p == nil {
		return nil
	}
	k, ok := slices.BinarySearchFunc(p.missed, ch, func(m missed, ch index.Channel) int { return cmp.Compare(m.channel, ch) })
	if !ok {
		return nil
	}
	return &p.missed[k]
}

// Serve handles a request for /v1/poll.
func (p *Polls) Serve(i uint32, rest []byte) (left []byte) {
	token := protocol.Token(p.Hub)
	post := string(p.Hub.HTTP.Request().Method) == "POST"
	if inBody := post && !p.Hub.Options.Open && len(token) == 0; !inBody && !p.Hub.Rights.Authorize(i, token) {
		return nil
	}
	if !post {
		p.get(i)
		return rest
	}
	if err := protocol.PositionOutside(p.Hub); err != nil {
		p.Hub.HTTP.Refuse.Request(i, reasons.RejectBadRequest, err, nil)
		return nil
	}
	return p.Hub.HTTP.Bodies.Read(i, rest, p)
}

// get handles GET /v1/poll.
func (p *Polls) get(i uint32) {
	params, err := protocol.Query(p.Hub)
	if err == nil {
		err = p.Hub.Rights.Allow(i, &params.Params)
	}
	over := p.Hub.Channels.RoomFor(i, &params.Params)
	switch {
	case err != nil:
		protocol.Refuse(p.Hub, i, err)
	case string(p.Hub.HTTP.Request().Method) == "HEAD":
		p.Hub.HTTP.Answer(i, 200, "", http1.Options{})
	case over != "":
		p.Hub.HTTP.Refuse.Over(i, over)
	default:
		p.start(i, &params)
	}
}

// pollBody is the body of POST /v1/poll.
type pollBody struct {
	Channels []string `json:"channels"`
	Cursor   string   `json:"cursor"`
	Since    string   `json:"since"` // the same as cursor
	Wait     *float64 `json:"wait"`  // seconds
	Max      *int     `json:"max"`
	History  int      `json:"history"`
	Format   string   `json:"format"`
	Token    string   `json:"token"`
}

// TakeBody handles POST /v1/poll with its body.
func (p *Polls) TakeBody(i uint32, text []byte) {
	params, err := p.read(i, text)
	if err == nil {
		err = p.Hub.Rights.Allow(i, &params.Params)
	}
	if err != nil {
		p.Hub.HTTP.Refuse.Body(i, err)
		return
	}
	if over := p.Hub.Channels.RoomFor(i, &params.Params); over != "" {
		p.Hub.HTTP.Refuse.Count(over)
		p.Hub.HTTP.Refuse.Body(i, reasons.OverLimit[over])
		return
	}
	p.start(i, &params)
}

// read parses the body of a poll, and verifies the token in it if the request had none.
func (p *Polls) read(i uint32, text []byte) (params protocol.Params, err *http1.Error) {
	var b pollBody
	if e := jsontext.Decode(text, &b); e != nil {
		return params, reasons.BadRequest("the body is a JSON object: %v", e)
	}
	if p.Hub.Rights.Grant(i) == nil {
		g, e := p.Hub.Rights.Verify([]byte(b.Token))
		if e != nil && e.Reason == auth.ReasonKeyPending {
			p.Hub.HTTP.Refuse.Count(reasons.RejectKeyPending)
			return params, reasons.OverLimit[reasons.RejectKeyPending]
		}
		if e != nil {
			return params, client.Unauthorized(e)
		}
		p.Hub.Rights.Set(i, g)
	}
	params = protocol.Params{Wait: protocol.DefaultWait, Max: protocol.DefaultMax}
	params.Channels, params.History = b.Channels, b.History
	if b.Wait != nil {
		if *b.Wait < 0 || *b.Wait > protocol.MaxWait.Seconds() {
			return params, reasons.BadRequest("wait is a number from 0 to %v", protocol.MaxWait.Seconds())
		}
		params.Wait = time.Duration(*b.Wait * float64(time.Second))
	}
	if b.Max != nil {
		if *b.Max < 1 || *b.Max > protocol.MaxMessages {
			return params, reasons.BadRequest("max is a number from 1 to %d", protocol.MaxMessages)
		}
		params.Max = *b.Max
	}
	if err = params.SetFormat(b.Format); err == nil {
		err = params.SetCursor(cmp.Or(b.Cursor, b.Since))
	}
	if err == nil {
		err = protocol.CheckHistory(p.Hub, params.History)
	}
	if err == nil {
		err = protocol.CheckChannels(p.Hub, &params)
	}
	return params, err
}

// start subscribes to a poll's channels. It responds at once if there are messages, else the poll
// waits.
func (p *Polls) start(i uint32, params *protocol.Params) {
	p.Hub.HTTP.Serving(i)
	p.Hub.Open(i, p.kind, params.Raw)
	own := p.Hub.Own(i)
	own.Number = uint16(params.Max)
	own.Flags |= flagSetup
	set := p.setups.Take(i)
	*set = setup{due: p.Hub.Conns.Clock.Now() + pollTicks(params.Wait), resume: params.Resume, missed: set.missed[:0]}
	// One more than the replies to come: none of them ends the poll before all channels are
	// subscribed.
	set.pending = 1
	p.Hub.Life.Schedule(i, max(set.due, p.Hub.Conns.Clock.Now()+pollPatience))
	set.pending += len(params.Channels)
	params.Checked = true
	p.Hub.Channels.Open(i, &params.Params)
}

// pollPatience is the number of ticks a poll waits for the broker to confirm its channels, however
// short its own wait is: without them it has no position to resume from.
const pollPatience = 20

// pollTicks returns a wait in ticks, up to a tenth shorter than requested, so that clients that
// connected together don't return together.
func pollTicks(wait time.Duration) uint32 {
	if wait == 0 {
		return 0
	}
	return conn.Ticks(wait - time.Duration(rand.Int64N(int64(wait)/10+1)))
}

// Begun notes that a poll's channel is live.
func (p *Polls) Begun(i uint32) (ok bool) {
	if p.setupOf(i) != nil { // else its wait ended
		p.confirmed(i)
	}
	return true
}

// Replayed notes that a poll's channel is live, and keeps the messages that the poll has missed.
func (p *Polls) Replayed(w *client.Request, ch index.Channel, r *fanout.Replay) {
	set := p.setupOf(w.Slot)
	if set == nil {
		return // its wait ended
	}
	// A request for the newest gets a response at once, even an empty one.
	set.news = set.news || len(r.Messages) > 0 || r.Gap != nil || r.More || w.Newest > 0
	set.add(missed{ch, r.Messages, r.Before, r.Gap != nil, w.Newest > 0, r.More, r.Position})
	p.confirmed(w.Slot)
}

// Opened notes that all channels of a poll are asked for.
func (p *Polls) Opened(i uint32) { p.confirmed(i) }

// Confirm is not called: a poll has no replies.
func (*Polls) Confirm(uint32, string, string, client.Ref, bool) {}

// confirmed counts one confirmed channel of a poll. After the last the poll gets its missed
// messages, or waits.
func (p *Polls) confirmed(i uint32) {
	set := p.setupOf(i)
	if set.pending--; set.pending > 0 || p.Hub.Tasks.Of(i) != nil {
		return // more channels to come, or being gathered
	}
	if set.due <= p.Hub.Conns.Clock.Now() || set.news || p.hasNews(i) {
		p.RespondNow(i)
		return
	}
	p.Hub.Life.Schedule(i, set.due)
	p.freeSetup(i)
}

// hasNews reports whether a live channel got a message while the others were being set up.
func (p *Polls) hasNews(i uint32) (news bool) {
	if p.Hub.Channels.Count(i) == 1 {
		return false // a message would have woken it
	}
	p.Hub.Channels.Each(i, func(sub index.Sub, ch index.Channel) {
		r := p.Hub.Shared.Broker.Since(p.Hub.Channels.Index.Name(ch), p.Hub.Channels.Index.From(sub))
		news = news || len(r.Messages) > 0 || !r.Complete
	})
	return news
}

// freeSetup frees the state of a poll's setup.
func (p *Polls) freeSetup(i uint32) {
	set := p.setupOf(i)
	if set == nil {
		return
	}
	clear(set.missed)
	*set = setup{missed: set.missed[:0]}
	p.setups.Free(i)
	p.Hub.Own(i).Flags &^= flagSetup
}

// Free frees a poll's setup, if it has one.
func (p *Polls) Free(i uint32) { p.freeSetup(i) }

// Setups returns the number of polls whose channels haven't all begun.
func (p *Polls) Setups() int { return p.setups.Len() }

// IsSetUp reports whether all channels of a poll have begun.
func (p *Polls) IsSetUp(i uint32) bool { return p.setupOf(i) == nil }

// IsWoken reports whether a poll has messages.
func (p *Polls) IsWoken(i uint32) bool { return p.Hub.Own(i).Flags&flagWoken != 0 }

// HalfClosed finds out whether the client is still there.
func (p *Polls) HalfClosed(i uint32) { p.Hub.HTTP.Lead(i) }

// Due responds to a poll that has waited too long for its position, or whose wait is over. One that
// was woken gets its response shortly anyway.
func (p *Polls) Due(i uint32) {
	switch own := p.Hub.Own(i); {
	case own.Flags&flagEarly != 0:
		if p.Hub.Life.IsOld(i) {
			p.Hub.HTTP.CloseAfter(i)
		}
		p.RespondNow(i)
	case p.Hub.Life.Outlived(i):
	case own.Flags&flagWoken == 0:
		p.tryRespond(i)
	}
}

// Expired responds to a poll whose token has expired.
func (p *Polls) Expired(i uint32) { p.tryRespond(i) }

// Leave responds to a poll with the messages that there are, and closes its connection.
func (p *Polls) Leave(i uint32, _ reasons.Close) {
	p.Hub.HTTP.CloseAfter(i)
	if p.Hub.Own(i).Flags&flagEarly == 0 {
		p.tryRespond(i)
	}
}

// Bye: a poll's response is all or nothing.
func (*Polls) Bye(uint32, reasons.Close, string, time.Duration) []byte { return nil }

// errDismissed responds to a poll that the operator closed. The client may reconnect, as after a
// WebSocket's close code.
var errDismissed = &http1.Error{Status: 503, Code: string(reasons.CloseAdmin), Message: "the operator closed this connection"}

// Dismiss closes a poll for the operator.
func (p *Polls) Dismiss(i uint32, _ time.Duration) {
	p.Hub.HTTP.Refuse.Dismiss(i, reasons.CloseAdmin, errDismissed)
}
