package publish

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/pushgate/pushgate/internal/loadgen/account"
	"github.com/pushgate/pushgate/internal/loadgen/plan"
)

// maxSaid bounds the part of an answer that is read, in bytes.
const maxSaid = 4 << 10

// httpPublisher sends a POST for each message to --publish-url, one after the
// other, which keeps their order.
type httpPublisher struct {
	client *http.Client
	url    string // with placeholders
	body   string // with placeholders
	fields http.Header

	text bytes.Buffer
}

// newHTTPPublisher looks whether something listens there.
func newHTTPPublisher(ctx context.Context, c plan.Config) (*httpPublisher, error) {
	d := &net.Dialer{Timeout: 5 * time.Second, Control: loopbackOnly(c.AllowRemote)}
	p := &httpPublisher{url: c.PublishURL, body: c.PublishBody, fields: make(http.Header)}
	if p.body == "" {
		p.body = plan.PlaceMessage
	}
	for _, field := range c.PublishHeaders {
		name, value, _ := strings.Cut(field, ":")
		p.fields.Add(name, strings.TrimSpace(value))
	}
	if p.fields.Get("Content-Type") == "" {
		kind := "text/plain"
		if strings.HasPrefix(p.body, "{") && p.body != plan.PlaceMessage || strings.HasPrefix(p.body, "[") || strings.HasPrefix(p.body, `"`) {
			kind = "application/json"
		}
		p.fields.Set("Content-Type", kind)
	}
	secure, err := c.TLSConfig()
	if err != nil {
		return nil, &plan.UsageError{Flag: "--ca", Value: c.CA, Want: err.Error()}
	}
	p.client = &http.Client{
		Timeout:       c.Timeout,
		Transport:     &http.Transport{DialContext: dialing(d.DialContext), TLSClientConfig: secure, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	u, err := url.Parse(c.PublishURL)
	if err != nil {
		return nil, &plan.UsageError{Flag: "--publish-url", Value: plan.PrintableURL(c.PublishURL), Want: "not a URL"}
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return nil, fmt.Errorf("--publish-url %s: %w", plan.PrintableURL(c.PublishURL), err)
	}
	conn.Close()
	return p, nil
}

func (p *httpPublisher) Via() string { return "--publish-url" }

func (p *httpPublisher) Publish(ctx context.Context, batch []Message) ([]Result, error) {
	return oneByOne(batch, func(m Message) (Result, error) {
		r, err := p.post(ctx, m)
		if err != nil {
			err = fmt.Errorf("--publish-url: %w", err)
		}
		return r, err
	})
}

func (p *httpPublisher) post(ctx context.Context, m Message) (Result, error) {
	where := strings.NewReplacer(plan.PlaceChannel, string(plan.AppendEscaped(nil, []byte(m.Channel))), plan.PlaceMessage, string(m.Payload)).Replace(p.url)
	p.text.Reset()
	if _, err := strings.NewReplacer(plan.PlaceChannel, m.Channel, plan.PlaceMessage, string(m.Payload)).WriteString(&p.text, p.body); err != nil {
		return Unsent, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, where, bytes.NewReader(p.text.Bytes()))
	if err != nil {
		return Unsent, err
	}
	req.Header, req.Host = p.fields, p.fields.Get("Host")
	answer, err := p.client.Do(req)
	if err != nil {
		if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
			err = wrapped.Err // without the URL, which may hold a key
		}
		if errors.Is(err, errDial) {
			return Unsent, err
		}
		return Unknown, err
	}
	defer answer.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(answer.Body, maxSaid))
	io.Copy(io.Discard, io.LimitReader(answer.Body, 1<<20)) // so that the connection is used again
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return Refused, errors.New(string(account.AnswerReason(answer.StatusCode, answer.Header.Get("Content-Type"), said)))
	}
	return Taken, nil
}

func (p *httpPublisher) Close() error {
	p.client.CloseIdleConnections()
	return nil
}
