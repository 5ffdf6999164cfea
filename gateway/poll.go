package gateway

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
	"github.com/pushgate/pushgate/gateway/internal/conn"
	"github.com/pushgate/pushgate/gateway/internal/position"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/gateway/jsontext"
)

// poll is a request for messages while it's being set up or its body is being read. A waiting poll
// has none: it is a connection with subscriptions, whose start numbers are its position.
type poll struct {
	body    http1.Body
	target  target
	pending int    // channels that the broker hasn't confirmed yet
	due     uint32 // tick at which its wait ends
	resume  position.Resume
	missed  []missed
	bytes   int  // of missed messages
	news    bool // something was missed
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
func (p *poll) sortMissed() {
	slices.SortFunc(p.missed, func(a, b missed) int { return cmp.Compare(a.channel, b.channel) })
}

// add adds a channel's history, truncated to one message once there is enough for a response.
func (p *poll) add(m missed) {
	if n := len(m.messages); n > 1 && p.bytes > responseBytes && m.messages[0].ID.Durable() {
		m.messages, m.more, m.end = slices.Clone(m.messages[:1]), true, m.messages[0].ID
	}
	for _, one := range m.messages {
		p.bytes += len(one.Payload)
	}
	p.missed = append(p.missed, m)
}

// missedOf returns a channel's history for the poll, nil if it requested none or is no longer
// waiting.
func (p *poll) missedOf(ch index.Channel) *missed {
	if p == nil {
		return nil
	}
	k, ok := slices.BinarySearchFunc(p.missed, ch, func(m missed, ch index.Channel) int { return cmp.Compare(m.channel, ch) })
	if !ok {
		return nil
	}
	return &p.missed[k]
}

// pollGet handles GET /v1/poll.
func (s *shard) pollGet(i uint32, c *client) {
	p, err := s.query()
	if err == nil {
		err = s.allowed(c, &p)
	}
	over := s.roomFor(i, &p)
	switch {
	case err != nil:
		s.refuseParams(i, c, err)
	case string(s.request.Method) == "HEAD":
		s.answer(i, c, 200, "", http1.Options{})
	case over != "":
		s.refuseOver(i, c, over)
	default:
		s.startPoll(i, c, &p)
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

// pollPost handles POST /v1/poll with body text.
func (s *shard) pollPost(i uint32, c *client, text []byte) {
	p, err := s.readPoll(c, text)
	if err == nil {
		err = s.allowed(c, &p)
	}
	if err != nil {
		s.refuseBody(i, c, err)
		return
	}
	if over := s.roomFor(i, &p); over != "" {
		s.stats.rejects[over]++
		s.refuseBody(i, c, overLimit[over])
		return
	}
	s.startPoll(i, c, &p)
}

// readPoll parses the body of a poll, and verifies the token in it if the request had none.
func (s *shard) readPoll(c *client, text []byte) (p params, err *http1.Error) {
	var b pollBody
	if e := jsontext.Decode(text, &b); e != nil {
		return p, badRequest("the body is a JSON object: %v", e)
	}
	if c.grant == 0 {
		g, e := s.verify([]byte(b.Token))
		if e != nil && e.Reason == auth.ReasonKeyPending {
			s.stats.rejects[reasons.RejectKeyPending]++
			return p, overLimit[reasons.RejectKeyPending]
		}
		if e != nil {
			return p, unauthorized(e)
		}
		s.setGrant(c, g)
	}
	p = params{channels: b.Channels, history: b.History, wait: defaultWait, max: defaultMax}
	if b.Wait != nil {
		if *b.Wait < 0 || *b.Wait > maxWait.Seconds() {
			return p, badRequest("wait is a number from 0 to %v", maxWait.Seconds())
		}
		p.wait = time.Duration(*b.Wait * float64(time.Second))
	}
	if b.Max != nil {
		if *b.Max < 1 || *b.Max > maxMessages {
			return p, badRequest("max is a number from 1 to %d", maxMessages)
		}
		p.max = *b.Max
	}
	if err = p.setFormat(b.Format); err == nil {
		err = p.setCursor(cmp.Or(b.Cursor, b.Since))
	}
	if err == nil {
		err = s.checkHistory(p.history)
	}
	if err == nil {
		err = s.checkChannels(&p)
	}
	return p, err
}

// startPoll subscribes to a poll's channels. It responds at once if there are messages, else the
// poll waits.
func (s *shard) startPoll(i uint32, c *client, p *params) {
	s.freePoll(c)
	s.open(c, kindPoll, p.raw)
	c.max = uint16(p.max)
	var set *poll
	c.poll, set = s.polls.Take()
	*set = poll{due: s.conns.Now() + pollTicks(p.wait), resume: p.resume, missed: set.missed[:0]}
	// One more than the replies to come: none of them ends the poll before all channels are
	// subscribed.
	set.pending = 1
	s.schedule(i, c, max(set.due, s.conns.Now()+pollPatience))
	set.pending += len(p.channels)
	s.subscribeAll(i, c, p)
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

// pollSubscribed notes that a poll's channel is live.
func (s *shard) pollSubscribed(c *client, w *waiter, ch index.Channel, r *fanout.Replay) {
	if c.poll == 0 {
		return // its wait ended
	}
	if r != nil {
		set := s.polls.At(c.poll)
		// A request for the newest gets a response at once, even an empty one.
		set.news = set.news || len(r.Messages) > 0 || r.Gap != nil || r.More || w.newest > 0
		set.add(missed{ch, r.Messages, r.Before, r.Gap != nil, w.newest > 0, r.More, r.Position})
	}
	s.pollConfirmed(w.slot, c)
}

// pollConfirmed counts one confirmed channel of a poll. After the last the poll gets its missed
// messages, or waits.
func (s *shard) pollConfirmed(i uint32, c *client) {
	set := s.polls.At(c.poll)
	if set.pending--; set.pending > 0 || c.flags&flagTask != 0 {
		return // more channels to come, or being gathered
	}
	if set.due <= s.conns.Now() || set.news || s.pollHasNews(c) {
		s.respondNow(i, c)
		return
	}
	s.schedule(i, c, set.due)
	s.freePoll(c)
}

// pollHasNews reports whether a live channel got a message while the others were being set up.
func (s *shard) pollHasNews(c *client) (news bool) {
	if c.count == 1 {
		return false // a message would have woken it
	}
	s.index.Each(c.subs, func(sub index.Sub, ch index.Channel) {
		r := s.srv.broker.Since(s.index.Name(ch), s.index.From(sub))
		news = news || len(r.Messages) > 0 || !r.Complete
	})
	return news
}

// freePoll frees the state of a poll's setup.
func (s *shard) freePoll(c *client) {
	if c.poll == 0 {
		return
	}
	set := s.polls.At(c.poll)
	clear(set.missed)
	*set = poll{missed: set.missed[:0]}
	s.polls.Put(c.poll)
	c.poll = 0
}

// pollTimeout responds to a poll whose wait is over. One that was woken gets its response shortly
// anyway.
func (s *shard) pollTimeout(i uint32, c *client) {
	if c.flags&flagWoken == 0 {
		s.tryRespond(i, c)
	}
}

// endPatience responds to a poll that has waited too long for its position.
func (s *shard) endPatience(i uint32, c *client) {
	if s.old(i, c) {
		c.flags |= flagClose
	}
	s.respondNow(i, c)
}
