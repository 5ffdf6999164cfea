package native

import (
	"bytes"

	"github.com/pushgate/pushgate/gateway/auth"
	"github.com/pushgate/pushgate/gateway/internal/client"
	"github.com/pushgate/pushgate/gateway/internal/conn"
	"github.com/pushgate/pushgate/gateway/internal/protocol"
	"github.com/pushgate/pushgate/gateway/internal/reasons"
)

// begin responds to a WebSocket's handshake and admits the client, or waits for its token.
func (n *Native) begin(i uint32, answer []byte, p *client.Params) {
	token := protocol.Token(n.Hub)
	if len(token) > 0 || n.Hub.Options.Open {
		n.admit(i, token, p, "", answer)
		return
	}
	n.Hub.Conns.Out.SendCopy(i, answer)
	if n.Hub.IsOpen(i) {
		n.Hub.Own(i).Flags |= flagNoToken
		kept := *p
		n.withoutToken[i] = &kept
		n.Hub.Conns.Input.Hold(i, kept.Bytes())
		n.Hub.Conns.Clock.Set(i, n.Hub.Conns.Clock.Now()+conn.Ticks(n.Hub.Options.TokenTimeout))
	}
}

// takeRequest removes and returns the request of a client that was waiting for its token.
func (n *Native) takeRequest(i uint32) *client.Params {
	p := n.withoutToken[i]
	if p != nil {
		n.Hub.Conns.Input.Hold(i, -p.Bytes())
		delete(n.withoutToken, i)
	}
	return p
}

// admit verifies a client's token and admits it, or closes it. lead is sent before anything else:
// the response to its handshake, or nothing.
//
// The handshake succeeds in any case: a browser hides a failed handshake from its page, but not a
// close code.
func (n *Native) admit(i uint32, token []byte, p *client.Params, ref client.Ref, lead []byte) {
	g, err := n.Hub.Rights.Verify(token)
	if err != nil {
		reason := reasons.CloseToken
		if err.Reason == auth.ReasonKeyPending {
			reason = reasons.CloseKeyPending
		}
		n.reject(i, reason, err.Error(), lead)
		return
	}
	n.Hub.Rights.Set(i, g)
	n.Hub.Own(i).Flags &^= flagNoToken
	for _, name := range p.Channels {
		if !g.MaySubscribe(name) {
			n.reject(i, reasons.CloseForbidden, "the token does not allow the channel "+name, lead)
			return
		}
	}
	p.Add(g.Channels)
	n.Spread(i)
	if len(lead) > 0 {
		n.Hub.Conns.Out.SendCopy(i, lead)
	}
	n.welcome(i, ref)
	n.Hub.Channels.Open(i, p)
}

// reject closes a WebSocket before it has become a client, behind lead.
func (n *Native) reject(i uint32, reason reasons.Close, detail string, lead []byte) {
	n.Hub.Conns.Finish(i, reason, append(bytes.Clone(lead), n.Bye(i, reason, detail, client.ByeSpread)...))
}

// errNoToken refuses a command before the token.
const errNoToken = "send {\"type\":\"auth\",\"token\":…} first"

// codeKeyPending is the code for a token whose signing key is still being fetched.
const codeKeyPending = reasons.CodeKeyPending

// auth handles a client's auth command: its first token where the request had none, or a new one
// before the old one expires.
func (n *Native) auth(i uint32, cmd *command) {
	if n.Hub.Own(i).Flags&flagNoToken != 0 {
		n.admit(i, []byte(cmd.Token), n.takeRequest(i), cmd.Ref, nil)
		return
	}
	g, err := n.Hub.Rights.Verify([]byte(cmd.Token))
	switch {
	case err != nil && err.Reason == auth.ReasonKeyPending:
		n.refuse(i, cmd, codeKeyPending, err.Error()) // the old one stays in force
		return
	case err != nil:
		n.refuse(i, cmd, client.CodeUnauthorized, err.Error())
		return
	case g.Subject != n.Hub.Rights.Grant(i).Subject:
		n.refuse(i, cmd, client.CodeForbidden, "the token has another subject")
		return
	}
	n.Hub.Rights.Set(i, g)
	n.Hub.Life.Reschedule(i)
	n.welcome(i, cmd.Ref)
	n.revoke(i)
}

// revoke unsubscribes a client from the channels outside its new token's grant.
func (n *Native) revoke(i uint32) {
	r := &revoking{n, n.Hub.Channels.Names(i)}
	if !r.Work(i) && n.Hub.IsOpen(i) {
		n.Hub.Tasks.Start(i, r, 0)
	}
}

// revoking is the task of revoke, with the channels still to check.
type revoking struct {
	native *Native
	names  []string
}

// Work checks a slice of the channels.
func (r *revoking) Work(i uint32) (done bool) {
	k := min(len(r.names), client.SliceChannels)
	for _, name := range r.names[:k] {
		if !r.native.Hub.Rights.MaySubscribe(i, name) {
			r.native.unsubscribe(i, name, "")
		}
	}
	r.names = r.names[k:]
	return len(r.names) == 0
}

// Done continues behind the command.
func (r *revoking) Done(i uint32) { r.native.Continue(i) }
