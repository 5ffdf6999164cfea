package fanout

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/internal/redistest"
)

func TestWaysToConnect(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "redis.sock")
	certs := redistest.NewCertificates(t)
	server := redistest.StartSecure(t, certs, "--unixsocket", socket, "--requirepass", "secret", "--tls-auth-clients", "no")
	tests := map[string]string{
		"tcp":  "redis://:secret@" + server.Addr + "/3",
		"unix": "unix://:secret@" + socket,
		"tls":  "rediss://:secret@" + server.Secure + "?skip_verify=true",
	}
	for name, url := range tests {
		t.Run(name, func(t *testing.T) {
			b := runBroker(t, testConfig(url))
			r := newRecorder()
			join(b, "news", r)
			r.wait(t, "news", 1)
			waitReady(t, b)
			if _, err := b.Publish(t.Context(), "news", []byte("x"), PublishOptions{Durable: true}); err != nil {
				t.Fatal(err)
			}
			r.wait(t, "news", 2)
		})
	}
	t.Run("wrong password", func(t *testing.T) {
		b := runBroker(t, testConfig("redis://:wrong@"+server.Addr))
		eventually(t, "the reason is known", func() bool {
			return b.Ready() != nil && strings.Contains(b.Ready().Error(), "WRONGPASS")
		})
	})
}

// gatewayRights are the rights of a gateway's user in docs/OPERATIONS.md.
var gatewayRights = strings.Fields("~{push:* &push:* +@connection +subscribe +unsubscribe +publish" +
	" +xrange +xrevrange +xinfo|stream +eval +evalsha +script|load +xadd +expire +get +set +exists +xlen" +
	" +zadd +zrangebyscore +zrem +hset +hdel +hgetall +time" +
	" +ssubscribe +sunsubscribe +spublish +cluster|slots +command")

// setRights makes a user gateway, with the password pw, that has those rights only.
func setRights(s *redistest.Server) {
	user := []any{"ACL", "SETUSER", "gateway", "reset", "on", ">pw"}
	for _, right := range gatewayRights {
		user = append(user, right)
	}
	s.Do(user...)
}

// useRights does everything that takes rights, by a broker of that user.
func useRights(t *testing.T, url string) {
	t.Helper()
	b := runBroker(t, testConfig(url))
	r := newRecorder()
	join(b, "rights", r)
	r.wait(t, "rights", 1)
	durable := PublishOptions{Durable: true, IdempotencyKey: "1"}
	if _, err := b.Publish(t.Context(), "rights", []byte("1"), durable); err != nil {
		t.Fatal(err)
	}
	for _, p := range b.PublishBatch(t.Context(), []Publication{{"rights", []byte("2"), PublishOptions{Durable: true}}, {Channel: "rights"}}) {
		if p.Err != nil {
			t.Fatal(p.Err)
		}
	}
	r.wait(t, "rights", 4)
	if a := r.replay(t, b, "rights", message.Position{Ms: 1}); len(a.Messages) != 3 {
		t.Errorf("replayed %d messages", len(a.Messages))
	}
	heard := hearControls(t, b)
	if nodes, err := b.Beat(t.Context(), "here"); err != nil || nodes[b.Node()] != "here" {
		t.Errorf("the nodes is %v, %v", nodes, err)
	}
	eventually(t, "a command is heard", func() bool {
		if err := b.Control(t.Context(), "all"); err != nil {
			t.Fatal(err)
		}
		select {
		case <-heard:
			return true
		default:
			return false
		}
	})
	if err := b.Retire(t.Context()); err != nil {
		t.Error(err)
	}
	if had := forget(t, b, "rights"); had != 2 {
		t.Errorf("%d messages are forgotten", had)
	}
	waitReady(t, b)
}

func TestRights(t *testing.T) {
	server := startRedis(t)
	setRights(server.Server)
	useRights(t, "redis://gateway:pw@"+server.Addr)
	operations, err := os.ReadFile("../docs/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, right := range gatewayRights {
		if !strings.Contains(string(operations), right) {
			t.Errorf("docs/OPERATIONS.md lacks %s", right)
		}
	}

	// A channel that is refused takes the connection along: the reason says why.
	server.Do("ACL", "SETUSER", "gateway", "resetchannels", "&push:|probe|*", "&push:rights")
	b := runBroker(t, testConfig("redis://gateway:pw@"+server.Addr))
	waitReady(t, b)
	join(b, "other", newRecorder())
	eventually(t, "the reason is known", func() bool {
		return b.Ready() != nil && strings.Contains(b.Ready().Error(), "NOPERM") && strings.Contains(b.Ready().Error(), "&push:*")
	})
}
