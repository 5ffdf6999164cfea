package protocol

import (
	"github.com/pushgate/pushgate/gateway/http1"
	"github.com/pushgate/pushgate/gateway/internal/client"
	"github.com/pushgate/pushgate/gateway/internal/httpconn"
	"github.com/pushgate/pushgate/gateway/internal/publish"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/gateway/jsontext"
)

// publishing serves POST /v1/publish.
type publishing struct{ hub *client.Hub }

// RegisterPublish adds the endpoint for publishing to a loop.
func RegisterPublish(h *client.Hub) {
	h.HTTP.Handle(&httpconn.Route{Path: "/v1/publish", Methods: []string{"POST"}, Endpoint: publishing{h}})
}

// Serve reads the request's body.
func (p publishing) Serve(i uint32, rest []byte) (left []byte) {
	if !p.hub.Rights.Authorize(i, Token(p.hub)) {
		return nil
	}
	return p.hub.HTTP.Bodies.Read(i, rest, p)
}

// TakeBody publishes a message, and responds when Redis has it.
func (p publishing) TakeBody(i uint32, text []byte) {
	p.hub.Conns.Clock.Clear(i) // the publisher has its own
	var pub publish.Publication
	if err := jsontext.Decode(text, &pub); err != nil {
		p.hub.HTTP.Refuse.Body(i, reasons.BadRequest("the body is a JSON object: %v", err))
		return
	}
	key, channel := p.hub.Conns.Slots.Key(i), pub.Channel
	err := p.hub.Publish(i, &pub, func(id string, err error) {
		switch {
		case !p.hub.Conns.Slots.Find(key) || !p.hub.HTTP.IsServing(i):
		case err != nil:
			p.hub.HTTP.Refuse.Body(i, &http1.Error{Status: 503, Code: publish.CodeBroker, Message: "the message may not have been published"})
		default:
			p.hub.HTTP.AnswerJSON(i, map[string]string{"channel": channel, "id": id})
		}
	})
	if err != nil {
		p.hub.HTTP.Refuse.Body(i, err)
	}
}
