package interop

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pushgate/pushgate/internal/gatewaytest"
	"github.com/pushgate/pushgate/internal/redistest"
	"github.com/pushgate/pushgate/internal/testcert"
)

// secured is a gateway with a TLS listener beside the plain one.
type secured struct {
	*gateway
	tls string // host:port of it
	ca  string // file that its clients trust
}

// tlsName is the name of a gateway's first certificate, which is for 127.0.0.1 as well.
const tlsName = "push.example.com"

// newTLSCertificates makes a gateway's certificate and its authority.
func newTLSCertificates(t testing.TB) *redistest.Certificates {
	t.Helper()
	return redistest.NewCertificates(t, tlsName, "127.0.0.1")
}

// startTLS runs a gateway with the certificate until the test ends. Its heartbeat leaves clients
// alone that answer no pings.
func startTLS(t testing.TB, c *redistest.Certificates, flags ...string) *secured {
	t.Helper()
	return startTLSOn(t, redistest.Start(t), c, flags...)
}

func startTLSOn(t testing.TB, redis *redistest.Server, c *redistest.Certificates, flags ...string) *secured {
	t.Helper()
	s := &secured{tls: gatewaytest.Address(t), ca: c.CA}
	s.gateway = startGatewayOn(t, redis, append([]string{"--heartbeat.interval", "1m", "--heartbeat.timeout", "1m",
		"--tls.listen", s.tls, "--tls.certificates", certificates(c.Server, c.ServerKey)}, flags...)...)
	return s
}

// certificates is the value of tls.certificates for pairs of files.
func certificates(files ...string) string {
	var list []string
	for i := 0; i < len(files); i += 2 {
		list = append(list, fmt.Sprintf("{cert_file: %s, key_file: %s}", files[i], files[i+1]))
	}
	return "[" + strings.Join(list, ", ") + "]"
}

// trust returns a client's configuration for a version of TLS, "1.2" or "1.3", or any.
func (s *secured) trust(version string) *tls.Config {
	s.t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(readText(s.t, s.ca)))
	config := &tls.Config{RootCAs: roots}
	switch version {
	case "1.2":
		config.MaxVersion = tls.VersionTLS12
	case "1.3":
		config.MinVersion = tls.VersionTLS13
	}
	return config
}

// dial connects from this process; the test closes the connection at its end.
func (s *secured) dial(config *tls.Config) *tls.Conn {
	s.t.Helper()
	c, err := tls.Dial("tcp", s.tls, config)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

func readText(t testing.TB, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func writeText(t testing.TB, file, text string) string {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// newRSA makes a self-signed certificate with an RSA key for a name.
func newRSA(t testing.TB, name string) (certFile, keyFile string) {
	t.Helper()
	dir := t.TempDir()
	c := testcert.Issue(t, nil, testcert.NewRSA(t, 2048), []string{name}, func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid = true, true
	})
	return testcert.Write(t, filepath.Join(dir, "rsa.pem"), testcert.PEM(c)), testcert.Write(t, filepath.Join(dir, "rsa.key"), testcert.KeyPEM(t, c.Key))
}

// certificateOf reads the first certificate of a file.
func certificateOf(t testing.TB, file string) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode([]byte(readText(t, file)))
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// fingerprint is the hash of a certificate's key, as Chromium's list of exceptions takes it.
func fingerprint(t testing.TB, certFile string) string {
	t.Helper()
	sum := sha256.Sum256(certificateOf(t, certFile).RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// newTicketKeys makes a file for tls.ticket_key_file.
func newTicketKeys(t testing.TB) string {
	t.Helper()
	var key [32]byte
	rand.Read(key[:])
	return writeText(t, filepath.Join(t.TempDir(), "tickets"), base64.StdEncoding.EncodeToString(key[:])+"\n")
}

// dialogue is a program that the test talks to, by standard input and all that it prints.
type dialogue struct {
	t   testing.TB
	cmd *exec.Cmd
	in  io.WriteCloser

	mu    sync.Mutex
	out   bytes.Buffer  // guarded by mu
	at    int           // how far expect has read; owned by the test's goroutine
	ended chan struct{} // closed when the program has ended
}

// talkTo starts a program, which ends with the test at the latest.
func talkTo(t testing.TB, env []string, program string, args ...string) *dialogue {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	d := &dialogue{t: t, cmd: exec.CommandContext(ctx, needs(t, program), args...), ended: make(chan struct{})}
	d.cmd.Env = append(os.Environ(), env...)
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	d.cmd.Stdout, d.cmd.Stderr = d, d
	var err error
	if d.in, err = d.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { // ends with the program, which the cleanup waits for
		defer close(d.ended)
		d.cmd.Wait()
	}()
	t.Cleanup(func() {
		cancel()
		<-d.ended
		if t.Failed() {
			t.Logf("%s %s:\n%.20000s", program, strings.Join(args, " "), d.text())
		}
	})
	return d
}

// Write takes output of the program.
func (d *dialogue) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.out.Write(p)
}

// text returns all that the program has printed.
func (d *dialogue) text() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.out.String()
}

// say writes to the program.
func (d *dialogue) say(text string) {
	d.t.Helper()
	if _, err := io.WriteString(d.in, text); err != nil {
		d.t.Fatal(err)
	}
}

// has reports whether the program has printed a text behind the last one that was found.
func (d *dialogue) has(want string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := bytes.Index(d.out.Bytes()[d.at:], []byte(want))
	if i < 0 {
		return false
	}
	d.at += i + len(want)
	return true
}

// expect waits for such a text.
func (d *dialogue) expect(wants ...string) {
	d.t.Helper()
	for _, want := range wants {
		d.expectWhile(want, func() {})
	}
}

// expectWhile is expect that does something each time before it looks again.
func (d *dialogue) expectWhile(want string, do func()) {
	d.t.Helper()
	for end := time.Now().Add(patience); ; {
		gone := d.gone() // before the look, which so sees all of its output
		if d.has(want) {
			return
		}
		if gone || time.Now().After(end) {
			d.t.Fatalf("%s doesn't print %.100q (ended: %v)", d.cmd.Args, want, gone)
		}
		do()
		time.Sleep(10 * time.Millisecond)
	}
}

func (d *dialogue) gone() bool {
	select {
	case <-d.ended:
		return true
	default:
		return false
	}
}

// ends waits for the program's end, and returns its exit code.
func (d *dialogue) ends() int {
	d.t.Helper()
	select {
	case <-d.ended:
	case <-time.After(patience):
		d.t.Fatalf("%s doesn't end", d.cmd.Args)
	}
	return d.cmd.ProcessState.ExitCode()
}
