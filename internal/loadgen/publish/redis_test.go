package publish

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/pushgate/pushgate/internal/loadgen/plan"
	"github.com/pushgate/pushgate/internal/redistest"
)

func TestRedisPublisher(t *testing.T) {
	m := miniredis.RunT(t)
	c := plan.DefaultConfig()
	c.Redis = "redis://" + m.Addr()
	sub := m.NewSubscriber()
	defer sub.Close()
	sub.Subscribe("push:a")
	batch := []Message{{"a", []byte("one")}, {"b", []byte("two")}, {"a", []byte("three")}}

	p, err := newRedisPublisher(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var got []string
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 4 {
			got = append(got, (<-sub.Messages()).Message)
		}
	}()
	results, err := p.Publish(t.Context(), batch)
	if err != nil || !slices.Equal(results, []Result{Taken, Unheard, Taken}) {
		t.Errorf("results %v, error %v; nobody listens to b", results, err)
	}

	c.Durable = true
	d, err := newRedisPublisher(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := d.Publish(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatalf("received %q", got)
	}
	if got[0] != "one" || got[1] != "three" {
		t.Errorf("plain: %q", got[:2])
	}
	log, err := m.Stream("{push:a}:log")
	if err != nil || len(log) != 2 || log[0].Values[1] != "one" {
		t.Fatalf("stream %v, %v", log, err)
	}
	for i, text := range got[2:] {
		if want := "\x1e" + log[i].ID + "\x1e" + []string{"one", "three"}[i]; text != want {
			t.Errorf("durable %q, want %q", text, want)
		}
	}
	if m.TTL("{push:a}:log") <= 0 {
		t.Error("the stream never expires")
	}
}

func TestRedisURLs(t *testing.T) {
	for url, want := range map[string]string{
		"redis://127.0.0.1:6379/2":                                "single 127.0.0.1",
		"rediss://user:pass@a":                                    "single a",
		"unix:///run/redis.sock":                                  "single ",
		"redis+sentinel://a:26379?master_name=m&addr=b:26379":     "sentinel a b",
		"rediss+sentinel://:p@a/3?master_name=m&password=q":       "sentinel a",
		"redis+cluster://user:pass@a:7000?addr=b:7000&addr=c:700": "cluster a b c",
		"redis+cluster://[::1]:7000":                              "cluster ::1",
		"redis+sentinel://a:26379":                                "", // no name
		"redis+cluster://a?read_only=true":                        "",
		"redis+else://a":                                          "",
		"redis://a?addr=b:6379":                                   "",
		"redis://a,b":                                             "",
		"redis://password@a":                                      "",
		"redis+sentinel://a,b?master_name=m":                      "",
		"redis+cluster://a/3":                                     "",
		"redis://a:99999":                                         "",
		"unix://run/redis.sock":                                   "",
		"sentinel://a":                                            "",
		"rediss+cluster://a?server_name=b&skip_verify=true":       "cluster a",
		"rediss+sentinel://a?server_name=b&master_name=m":         "sentinel a",
		"rediss://a?ca_file=none.pem":                             "", // can't be read
		"rediss://a?cert_file=none.pem":                           "", // no key
		"rediss://a?skip_verify=perhaps":                          "",
		"redis://a?server_name=b":                                 "", // no TLS
	} {
		s, err := parseRedisURL(url)
		got := ""
		switch {
		case err != nil:
		case s.single != nil:
			got = "single "
		case s.sentinel != nil:
			got = "sentinel "
		case s.cluster != nil:
			got = "cluster "
		}
		if err == nil {
			got += strings.Join(s.named(), " ")
		}
		if got != want {
			t.Errorf("%s is %q, want %q: %v", url, got, want, err)
		}
	}
}

// A Cluster or a Sentinel names servers that the URL doesn't.
func TestRedisStaysOnThisHost(t *testing.T) {
	_, err := redisServers{single: new(redis.Options)}.dialer(time.Minute, false)(t.Context(), "tcp", "192.0.2.1:6379")
	if err == nil || !errors.Is(err, errDial) || !strings.Contains(err.Error(), "192.0.2.1 is not on this host; --allow-remote") {
		t.Errorf("error %v", err)
	}
}

// openPublisher connects as a run does.
func openPublisher(t *testing.T, url string, durable bool) *redisPublisher {
	t.Helper()
	c := plan.DefaultConfig()
	c.Redis, c.Durable = url, durable
	p, err := newRedisPublisher(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// heard collects the messages of a subscription, by channel.
func heard(t *testing.T, sub *redis.PubSub, n int) map[string][]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	all := make(map[string][]string)
	for range n {
		m, err := sub.ReceiveMessage(ctx)
		if err != nil {
			t.Fatalf("after %v: %v", all, err)
		}
		all[m.Channel] = append(all[m.Channel], m.Payload)
	}
	return all
}

// On a Cluster messages go to the owner of their channel's slot, by SPUBLISH,
// also after the slot has moved.
func TestRedisCluster(t *testing.T) {
	cluster := redistest.StartCluster(t, 3)
	// One channel of each master, by the slot of its name.
	of := make(map[*redistest.Server]string)
	for i := 0; len(of) < 3; i++ {
		name := fmt.Sprintf("room.%d", i)
		if owner := cluster.Owner(name); of[owner] == "" {
			of[owner] = name
		}
	}
	var names []string
	subs := make(map[string]*redis.PubSub)
	for _, name := range of {
		names = append(names, name)
		subs[name] = cluster.Client.SSubscribe(t.Context(), "push:"+name)
		defer subs[name].Close()
		if _, err := subs[name].Receive(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, durable := range []bool{false, true} {
		p := openPublisher(t, cluster.URL(), durable)
		var batch []Message
		for n := range 5 {
			for _, name := range names {
				batch = append(batch, Message{name, fmt.Append(nil, n)})
			}
		}
		results, err := p.Publish(t.Context(), batch)
		if err != nil || slices.ContainsFunc(results, func(f Result) bool { return f != Taken }) {
			t.Fatalf("durable %v: results %v, error %v", durable, results, err)
		}
		for _, name := range names {
			got := heard(t, subs[name], 5)["push:"+name]
			for n, text := range got {
				if text[strings.LastIndexByte(text, 0x1e)+1:] != fmt.Sprint(n) || durable != strings.HasPrefix(text, "\x1e") {
					t.Errorf("durable %v, %s: %q", durable, name, got)
				}
			}
		}
	}

	t.Run("nothing is repeated", func(t *testing.T) {
		p := openPublisher(t, cluster.URL()+"&read_timeout=1s", false)
		name := names[0]
		owner := cluster.Owner(name)
		if _, err := p.Publish(t.Context(), []Message{{name, []byte("begin")}}); err != nil {
			t.Fatal(err) // and the connection stands
		}
		owner.Signal(syscall.SIGSTOP)
		goOn := time.AfterFunc(1200*time.Millisecond, func() { owner.Signal(syscall.SIGCONT) })
		results, err := p.Publish(t.Context(), []Message{{name, []byte("once")}})
		if goOn.Stop() {
			owner.Signal(syscall.SIGCONT)
		}
		if err != nil && !slices.Equal(results, []Result{Unknown}) {
			t.Errorf("results %v, error %v", results, err)
		}
		if _, err := openPublisher(t, cluster.URL(), false).Publish(t.Context(), []Message{{name, []byte("end")}}); err != nil {
			t.Fatal(err)
		}
		if got := heard(t, subs[name], 3)["push:"+name]; !slices.Equal(got, []string{"begin", "once", "end"}) {
			t.Errorf("heard %q", got)
		}
	})

	p := openPublisher(t, cluster.URL(), false)
	if results, err := p.Publish(t.Context(), []Message{{"nobody", []byte("x")}}); err != nil || results[0] != Unheard {
		t.Errorf("results %v, error %v; nobody is subscribed", results, err)
	}
	name := names[0]
	slot, err := cluster.Client.ClusterKeySlot(t.Context(), "push:"+name).Result()
	if err != nil {
		t.Fatal(err)
	}
	cluster.Move(int(slot), cluster.Owner(name), cluster.Owner(names[1]))
	if results, err := p.Publish(t.Context(), []Message{{name, []byte("y")}}); err != nil || results[0] > Unheard {
		t.Errorf("results %v, error %v; the slot has moved", results, err)
	}
}

// With Sentinels messages go to the master of the moment, which has never seen
// the script.
func TestRedisSentinel(t *testing.T) {
	s := redistest.StartSentinel(t)
	plain, durable := openPublisher(t, s.URL(), false), openPublisher(t, s.URL(), true)
	published := func(p *redisPublisher) bool {
		results, err := p.Publish(t.Context(), []Message{{"a", []byte("x")}, {"a", []byte("y")}})
		return err == nil && len(results) == 2 && results[0] <= Unheard && results[1] <= Unheard
	}
	if !published(plain) || !published(durable) {
		t.Fatal("not published at the master")
	}
	s.Replica.CatchUp(s.Master)
	s.Master.Kill()
	for name, p := range map[string]*redisPublisher{"plain": plain, "durable": durable} {
		for end := time.Now().Add(time.Minute); !published(p); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s messages aren't published at the next master", name)
			}
		}
	}
	if n := s.Replica.Do("XLEN", "{push:a}:log"); n != int64(4) {
		t.Errorf("%v durable messages, want 4", n)
	}
}

// The password in an invalid URL is not shown either.
func TestRedisURLSecret(t *testing.T) {
	for _, url := range []string{"redis://:secret@127.0.0.1:port", "redis+sentinel://127.0.0.1?password=secret", "redis+cluster://:secret@192.0.2.1?addr=b"} {
		c := plan.DefaultConfig()
		c.Redis = url
		if _, err := newRedisPublisher(t.Context(), c); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("error %v", err)
		}
	}
}

// Redis with TLS asks its clients for certificates; the URL's parameters are the
// gateway's.
func TestRedisWithClientCertificates(t *testing.T) {
	certs := redistest.NewCertificates(t, redistest.ServerName)
	server := redistest.StartSecure(t, certs)
	for name, url := range map[string]string{
		"server":   "rediss://" + server.Secure + "/3?read_timeout=5s&" + certs.Query(),
		"sentinel": redistest.StartSecureSentinel(t, certs).URL(),
		"cluster":  redistest.StartSecureCluster(t, 3, certs).URL(),
	} {
		for _, durable := range []bool{false, true} {
			p := openPublisher(t, url, durable)
			results, err := p.Publish(t.Context(), []Message{{"a", []byte("1")}, {"b", []byte("2")}, {"c", []byte("3")}})
			if err != nil || len(results) != 3 {
				t.Errorf("%s, durable %v: results %v, error %v", name, durable, results, err)
			}
		}
	}
	older := redistest.StartSecure(t, certs, "--tls-protocols", "TLSv1.2")
	foreign := redistest.NewCertificates(t)
	q := func(ca, cert, key, name string) string {
		return "?" + url.Values{"ca_file": {ca}, "cert_file": {cert}, "key_file": {key}, "server_name": {name}}.Encode()
	}
	for url, want := range map[string]string{
		"rediss://" + server.Secure + "?ca_file=" + certs.CA:                                               "?server_name=NAME",
		"rediss://" + server.Secure + "?server_name=" + redistest.ServerName:                               "?ca_file=FILE",
		"rediss://" + server.Secure + q(certs.CA, "", "", redistest.ServerName):                            "?cert_file=FILE",
		"rediss://" + older.Secure + q(certs.CA, "", "", redistest.ServerName):                             "?cert_file=FILE",
		"rediss://" + server.Secure + q(certs.CA, foreign.Client, foreign.ClientKey, redistest.ServerName): "?cert_file=FILE",
		"rediss://" + server.Addr + "?dial_timeout=1s&" + certs.Query():                                    "redis:// is for one without",
		"rediss://" + server.Secure + q(certs.CA, certs.Client, foreign.ClientKey, redistest.ServerName):   "want a certificate and in key_file its private key",
	} {
		c := plan.DefaultConfig()
		c.Redis = url
		if _, err := newRedisPublisher(t.Context(), c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", url, err, want)
		}
	}
}

// Redis itself: an error reply, and one that is gone.
func TestResultsOfRedis(t *testing.T) {
	for _, durable := range []bool{false, true} {
		m := miniredis.RunT(t)
		c := plan.DefaultConfig()
		c.Redis, c.Durable = "redis://"+m.Addr(), durable
		p, err := newRedisPublisher(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		batch := []Message{{"a", []byte("one")}, {"a", []byte("two")}}
		m.SetError("OOM command not allowed")
		for _, tt := range []struct {
			want Result
			text string
		}{{Refused, "OOM"}, {Unsent, "refused"}} {
			results, err := p.Publish(t.Context(), batch)
			if len(results) != 2 || results[0] != tt.want || results[1] != tt.want || err == nil || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("durable %v: results %v, want %v; %v", durable, results, tt.want, err)
			}
			m.Close()
		}
	}
}

// A Redis that lets no new connection in, as for a password that was changed, has
// taken nothing.
func TestResultsOfARefusedConnection(t *testing.T) {
	server := redistest.Start(t)
	server.Do("ACL", "SETUSER", "loadgen", "on", ">pw", "~*", "&*", "+@all")
	for _, durable := range []bool{false, true} {
		c := plan.DefaultConfig()
		c.Redis, c.Durable = "redis://loadgen:pw@"+server.Addr, durable
		p, err := newRedisPublisher(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		server.Do("ACL", "SETUSER", "loadgen", "resetpass", ">other")
		server.Do("CLIENT", "KILL", "USER", "loadgen")
		results, err := p.Publish(t.Context(), []Message{{"a", []byte("one")}, {"a", []byte("two")}})
		if len(results) != 2 || results[0] != Refused || results[1] != Refused || err == nil || !strings.Contains(err.Error(), "WRONGPASS") {
			t.Errorf("durable %v: results %v, %v", durable, results, err)
		}
		server.Do("ACL", "SETUSER", "loadgen", ">pw")
	}
}

func TestCheckRedis(t *testing.T) {
	tests := map[string]struct {
		url    string
		remote bool
		want   string
	}{
		"loopback":       {"redis://:secret@127.0.0.1:6379/0", false, ""},
		"socket":         {"unix:///run/redis.sock", false, ""},
		"remote":         {"redis://192.0.2.1:6379", false, "not on this host"},
		"remote allowed": {"redis://192.0.2.1:6379", true, ""},
		"scheme":         {"http://:secret@127.0.0.1", false, "want the gateway's redis.url"},
		"cluster":        {"redis+cluster://:secret@127.0.0.1:7000?addr=192.0.2.1:7000", false, "192.0.2.1 is not on this host"},
		"sentinel":       {"redis+sentinel://127.0.0.1?master_name=m&password=secret", false, ""},
		"sentinels":      {"redis+sentinel://127.0.0.1?master_name=m&password=secret&addr=192.0.2.1:1", false, "not on this host"},
		"no master":      {"redis+sentinel://127.0.0.1?password=secret", false, "master_name"},
		"address only":   {"127.0.0.1:6379", false, "want the gateway's redis.url"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := plan.Config{Redis: tt.url, AllowRemote: tt.remote}
			_, err := serversOf(t.Context(), c)
			if (err == nil) != (tt.want == "") {
				t.Fatalf("error %v, want %q", err, tt.want)
			}
			if err != nil && (!strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret")) {
				t.Errorf("error %q", err)
			}
		})
	}
}
