package gateway_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"

	"github.com/pushgate/pushgate/gateway"
	"github.com/pushgate/pushgate/gateway/auth"
)

// keyServer publishes the keys of its issuer, once it is up.
type keyServer struct {
	*httptest.Server
	t    *testing.T
	keys map[string]*ecdsa.PrivateKey // by kid
	set  atomic.Pointer[[]byte]       // the served document; nil while the server is down
}

func newKeyServer(t *testing.T, kids ...string) *keyServer {
	s := &keyServer{t: t, keys: make(map[string]*ecdsa.PrivateKey)}
	for _, kid := range kids {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		s.keys[kid] = key
	}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		set := s.set.Load()
		if set == nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Write(*set)
	}))
	t.Cleanup(s.Close)
	return s
}

// use makes a gateway take its keys from here, with a secret beside them so
// that it is ready without.
func (s *keyServer) use(c *gateway.Config) {
	withTokens(c)
	c.Auth.JWT.JWKSURL, c.Auth.JWT.JWKSRetry = s.URL, 100*time.Millisecond
}

// publish serves keys from now on.
func (s *keyServer) publish(kids ...string) {
	s.t.Helper()
	all := jwkset.JWKSMarshal{Keys: []jwkset.JWKMarshal{}}
	for _, kid := range kids {
		j, err := jwkset.NewJWKFromKey(s.keys[kid].Public(), jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: kid}})
		if err != nil {
			s.t.Fatal(err)
		}
		all.Keys = append(all.Keys, j.Marshal())
	}
	set, err := json.Marshal(all)
	if err != nil {
		s.t.Fatal(err)
	}
	s.set.Store(&set)
}

// token issues a token by one of the keys.
func (s *keyServer) token(kid string) string {
	s.t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(s.keys[kid])
	if err != nil {
		s.t.Fatal(err)
	}
	key, err := auth.NewSigningKey(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), kid, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	text, err := auth.Mint(auth.Claims{Subject: "ann", Subscribe: []string{"room"}, Publish: []string{"hall"}}, key)
	if err != nil {
		s.t.Fatal(err)
	}
	return text
}

// While the key server is down a token may be valid: on every transport its client is told to
// retry, and admitted once the key is there.
func TestUnknownKeyIsLater(t *testing.T) {
	t.Parallel()
	keys := newKeyServer(t, "new", "never")
	in := start(t, func(c *gateway.Config) { keys.use(c); c.Origins = []string{"https://app.example"} }).ready()
	token := keys.token("new")
	body := fmt.Sprintf(`{"channels":["room"],"wait":0,"token":%q}`, token)
	bearer := "Host: x\r\nAuthorization: Bearer " + token + "\r\n"
	requests := map[string]string{
		"event stream":   "GET /v1/sse?channels=room HTTP/1.1\r\n" + bearer + "\r\n",
		"poll":           "GET /v1/poll?channels=room&wait=0&token=" + token + " HTTP/1.1\r\nHost: x\r\n\r\n",
		"poll, header":   "GET /v1/poll?channels=room&wait=0 HTTP/1.1\r\n" + bearer + "\r\n",
		"poll with body": fmt.Sprintf("POST /v1/poll HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body),
		"publish":        "POST /v1/publish HTTP/1.1\r\n" + bearer + "Content-Length: 27\r\n\r\n{\"channel\":\"hall\",\"data\":1}",
	}
	for name, request := range requests {
		if o := in.ask(request); o.status != 503 || o.code != "key_pending" || o.retry == "" {
			t.Errorf("%s: %+v", name, o)
		}
	}
	comeAgain := func(name string, c *client) {
		t.Helper()
		if e := c.expect("bye"); e.Reason != "key_pending" || e.ReconnectAfterMS < 1 {
			t.Errorf("%s: %+v", name, e)
		}
		if code := c.closed(); code != 1013 {
			t.Errorf("%s: closed with %d", name, code)
		}
	}
	comeAgain("WebSocket", in.dial("/v1/ws?channels=room&token="+token))
	first := in.dial("/v1/ws?channels=room")
	first.write(fmt.Sprintf(`{"type":"auth","token":%q}`, token))
	comeAgain("first message", first)
	source := "GET /v1/sse?channels=room&token=" + token + " HTTP/1.1\r\nHost: x\r\nOrigin: https://app.example\r\nAccept: text/event-stream\r\n\r\n"
	if told := later(t, bufio.NewReader(in.raw(source))); told.bye.Reason != "key_pending" {
		t.Errorf("EventSource: %+v", told)
	}
	for _, series := range []string{`gateway_rejects_total{reason="key_pending"}`, `gateway_closes_total{reason="key_pending"}`, `gateway_tokens_refused_total{reason="key_pending"}`} {
		if in.metric(series) < 2 {
			t.Errorf("%s is %v", series, in.metric(series))
		}
	}

	keys.publish("new")
	eventually(t, "the token is good", func() bool { status := in.ask(requests["poll"]).status; return status == 200 || status == 204 })
	for name, request := range requests {
		if o := in.ask(request); o.status >= 300 {
			t.Errorf("%s with its key: %+v", name, o)
		}
	}
	c := in.dial("/v1/ws?channels=room&token=" + token)
	c.expect("welcome")
	c.expect("subscribed")

	// A connection keeps its token while the new one's key is not known, and
	// after it is known that there's none.
	never := keys.token("never")
	refreshed := func() event {
		t.Helper()
		c.write(fmt.Sprintf(`{"type":"auth","token":%q,"ref":7}`, never))
		return c.expect("error")
	}
	if e := refreshed(); e.Code != "key_pending" || string(e.Ref) != "7" {
		t.Errorf("got %+v", e)
	}
	eventually(t, "the key is known not to be there", func() bool { return refreshed().Code == "unauthorized" })
	if o := in.ask("GET /v1/poll?channels=room&token=" + never + " HTTP/1.1\r\nHost: x\r\n\r\n"); o.status != 401 {
		t.Errorf("a token without a key: %+v", o)
	}
	if code := in.dial("/v1/ws?channels=room&token=" + never).closed(); code != 4001 {
		t.Errorf("a token without a key: closed with %d", code)
	}
	in.redis.Publish("room", `"still here"`)
	c.expect("message")
}
