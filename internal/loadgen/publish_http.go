package loadgen

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
)

// maxSaid bounds what is read of an answer, in bytes.
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
func newHTTPPublisher(ctx context.Context, c Config) (*httpPublisher, error) {
	d := &net.Dialer{Timeout: 5 * time.Second, Control: onThisHost(c.AllowRemote)}
	p := &httpPublisher{url: c.PublishURL, body: c.PublishBody, fields: make(http.Header)}
	if p.body == "" {
		p.body = placeMessage
	}
	for _, field := range c.PublishHeaders {
		name, value, _ := strings.Cut(field, ":")
		p.fields.Add(name, strings.TrimSpace(value))
	}
	if p.fields.Get("Content-Type") == "" {
		kind := "text/plain"
		if strings.HasPrefix(p.body, "{") && p.body != placeMessage || strings.HasPrefix(p.body, "[") || strings.HasPrefix(p.body, `"`) {
			kind = "application/json"
		}
		p.fields.Set("Content-Type", kind)
	}
	secure, err := c.checkedBy()
	if err != nil {
		return nil, &UsageError{Flag: "--ca", Value: c.CA, Want: err.Error()}
	}
	p.client = &http.Client{
		Timeout:       c.Timeout,
		Transport:     &http.Transport{DialContext: dialing(d.DialContext), TLSClientConfig: secure, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	u, err := url.Parse(c.PublishURL)
	if err != nil {
		return nil, &UsageError{Flag: "--publish-url", Value: printableURL(c.PublishURL), Want: "not a URL"}
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return nil, fmt.Errorf("--publish-url %s: %w", printableURL(c.PublishURL), err)
	}
	conn.Close()
	return p, nil
}

func (p *httpPublisher) via() string { return "--publish-url" }

// publish stops at the first message that is not taken: those behind it are not
// sent.
func (p *httpPublisher) publish(ctx context.Context, batch []publication) ([]fate, error) {
	fates := make([]fate, 0, publishBatch)
	for i, m := range batch {
		f, err := p.post(ctx, m)
		if fates = append(fates, f); err != nil {
			for range batch[i+1:] {
				fates = append(fates, fateUnsent)
			}
			return fates, fmt.Errorf("--publish-url: %w", err)
		}
	}
	return fates, nil
}

func (p *httpPublisher) post(ctx context.Context, m publication) (fate, error) {
	where := strings.NewReplacer(placeChannel, string(appendEscaped(nil, []byte(m.channel))), placeMessage, string(m.payload)).Replace(p.url)
	p.text.Reset()
	if _, err := strings.NewReplacer(placeChannel, m.channel, placeMessage, string(m.payload)).WriteString(&p.text, p.body); err != nil {
		return fateUnsent, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, where, bytes.NewReader(p.text.Bytes()))
	if err != nil {
		return fateUnsent, err
	}
	req.Header, req.Host = p.fields, p.fields.Get("Host")
	answer, err := p.client.Do(req)
	if err != nil {
		if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
			err = wrapped.Err // without the URL, which may hold a key
		}
		if errors.Is(err, errDial) {
			return fateUnsent, err
		}
		return fateUnknown, err
	}
	defer answer.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(answer.Body, maxSaid))
	io.Copy(io.Discard, io.LimitReader(answer.Body, 1<<20)) // so that the connection is used again
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return fateRefused, errors.New(string(answerReason(answer.StatusCode, answer.Header.Get("Content-Type"), said)))
	}
	return fateTaken, nil
}

func (p *httpPublisher) close() error {
	p.client.CloseIdleConnections()
	return nil
}
