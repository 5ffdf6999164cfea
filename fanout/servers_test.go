package fanout

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pushgate/pushgate/fanout/internal/upstream"
	"github.com/pushgate/pushgate/fanout/message"
	"github.com/pushgate/pushgate/internal/redistest"
)

// clusterConfig is for a busy machine, which must not make links seem lost.
func clusterConfig(cluster *redistest.Cluster) Config {
	c := testConfig(cluster.URL())
	c.ProbeInterval = time.Second
	return c
}

// channelsOfLinks returns channels, so many for each link of a broker.
func channelsOfLinks(b *Broker, each int) (names [][]string) {
	names = make([][]string, len(b.links))
	for n, left := 0, each*len(b.links); left > 0; n++ {
		name := fmt.Sprint("c", n)
		i := slices.Index(b.links, b.link(name))
		if len(names[i]) < each {
			names[i] = append(names[i], name)
			left--
		}
	}
	return names
}

func TestCluster(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3)
	t.Run("owners", func(t *testing.T) { testOwners(t, cluster) })
	t.Run("once", func(t *testing.T) { testPublishedOnce(t, cluster) })
	t.Run("moved", func(t *testing.T) { testServerOfACluster(t, cluster) })
	t.Run("rights", func(t *testing.T) {
		for _, s := range cluster.Masters {
			setRights(s)
		}
		useRights(t, strings.Replace(cluster.URL(), "://", "://gateway:pw@", 1))
	})
	t.Run("order", func(t *testing.T) { testOrderBehindARefusal(t, cluster) })
}

// Every channel is received from the server that owns its slot, whoever
// publishes.
func testOwners(t *testing.T, cluster *redistest.Cluster) {
	b := runBroker(t, clusterConfig(cluster))
	r := newRecorder()
	waitReady(t, b)
	all := slices.Concat(channelsOfLinks(b, 5)...)
	for _, name := range all {
		join(b, name, r)
	}
	ctx := t.Context()
	var batch []Publication
	for _, name := range all {
		r.wait(t, name, 1)
		full := "push:" + name
		owner := cluster.Owner(name)
		if n := owner.Client.PubSubShardNumSub(ctx, full).Val()[full]; n != 1 {
			t.Errorf("%s has %d subscribers at its slot's owner", name, n)
		}
		if want := owner.Client.Do(ctx, "CLUSTER", "KEYSLOT", full).Val(); want != int64(upstream.Slot(full)) {
			t.Errorf("%s is in slot %d, want %v", name, upstream.Slot(full), want)
		}
		if err := cluster.Client.SPublish(ctx, full, "plain").Err(); err != nil {
			t.Fatal(err)
		}
		key := fmt.Sprintf("{%s}:log", full)
		if err := publishScript.Run(ctx, cluster.Client, []string{key}, full, "durable", 10, 60, 0, "SPUBLISH").Err(); err != nil {
			t.Fatal(err)
		}
		batch = append(batch, Publication{Channel: name, Payload: []byte("b1")}, Publication{Channel: name, Payload: []byte("b2"), Options: PublishOptions{Durable: true}})
	}
	for i, p := range b.PublishBatch(ctx, batch) {
		if p.Err != nil || (p.ID != "") != batch[i].Options.Durable {
			t.Fatalf("%s: %+v", batch[i].Channel, p)
		}
	}
	for _, name := range all {
		if _, err := b.Publish(ctx, name, []byte("last"), PublishOptions{Durable: true, IdempotencyKey: "k"}); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range all {
		r.wait(t, name, 6)
		if got := r.texts(name); !slices.Equal(got, []string{"joined", "plain", "durable", "b1", "b2", "last"}) {
			t.Errorf("%s: %v", name, got)
		}
		if a := r.replay(t, b, name, message.Position{}); !slices.Equal(payloads(a.Messages), []string{"plain", "durable", "b1", "b2", "last"}) || a.Gap != nil {
			t.Errorf("%s: replayed %v, gap %v", name, payloads(a.Messages), a.Gap)
		}
	}
	if b.Ready() != nil {
		t.Error(b.Ready())
	}
}

// A message that a server didn't answer in time is published once all the same.
func testPublishedOnce(t *testing.T, cluster *redistest.Cluster) {
	c := clusterConfig(cluster)
	c.URL += "&read_timeout=500ms"
	b := runBroker(t, c)
	r := newRecorder()
	waitReady(t, b)
	join(b, "news", r)
	r.wait(t, "news", 1)
	durable := PublishOptions{Durable: true}
	// A stopped server greets no new connection, and on that nothing is sent. Most
	// often there is one that stands.
	const tries = 10
	for _, o := range []PublishOptions{{}, durable} {
		came := false
		for n := 0; n < tries && !came; n++ {
			text := fmt.Sprint("durable ", o.Durable, " ", n)
			// The server knows the script from here on.
			eventually(t, "the server answers", func() bool {
				_, err := b.Publish(t.Context(), "news", []byte("before "+text), durable)
				return err == nil
			})
			owner := cluster.Owner("news")
			owner.Signal(syscall.SIGSTOP)
			_, err := b.Publish(t.Context(), "news", []byte(text), o)
			owner.Signal(syscall.SIGCONT)
			if err == nil {
				t.Fatal("a server that was stopped has answered")
			}
			eventually(t, "the server answers again", func() bool {
				_, err := b.Publish(t.Context(), "news", []byte("after "+text), durable)
				return err == nil
			})
			eventually(t, "the message behind it has come", func() bool { return slices.Contains(r.texts("news"), "after "+text) })
			came = slices.Contains(r.texts("news"), text)
		}
		if !came {
			t.Errorf("none of %d messages was published", tries)
		}
	}
	seen := make(map[string]bool)
	for _, text := range r.texts("news") {
		if strings.HasPrefix(text, "durable ") && seen[text] {
			t.Errorf("%q was published twice", text)
		}
		seen[text] = true
	}
}

// A gateway that takes a server of a Cluster for a standalone one gets an error.
func testServerOfACluster(t *testing.T, cluster *redistest.Cluster) {
	b := runBroker(t, testConfig(cluster.Masters[0].URL()))
	waitReady(t, b)
	name := "c0"
	for n := 1; cluster.Owner(name) == cluster.Masters[0]; n++ {
		name = fmt.Sprint("c", n)
	}
	durable := Publication{Channel: name, Payload: []byte("x"), Options: PublishOptions{Durable: true}}
	_, err := b.Publish(t.Context(), name, durable.Payload, durable.Options)
	batch := b.PublishBatch(t.Context(), []Publication{durable})
	for _, err := range []error{err, batch[0].Err} {
		if err == nil || !strings.Contains(err.Error(), "MOVED") {
			t.Errorf("got %v", err)
		}
	}
}

// The messages of one channel stay in order where the server refuses those of
// another, the first that would have brought the script along.
func testOrderBehindARefusal(t *testing.T, cluster *redistest.Cluster) {
	server := cluster.Masters[0]
	b := runBroker(t, testConfig(server.URL()))
	var own, other string
	for n := 0; own == "" || other == ""; n++ {
		if name := fmt.Sprint("c", n); cluster.Owner(name) == server {
			own = name
		} else {
			other = name
		}
	}
	r := newRecorder()
	join(b, own, r)
	r.wait(t, own, 1)
	server.Do("SCRIPT", "FLUSH")
	durable := PublishOptions{Durable: true}
	results := b.PublishBatch(t.Context(), []Publication{{other, []byte("0"), durable}, {own, []byte("1"), durable}, {own, []byte("2"), PublishOptions{}}})
	if results[0].Err == nil || results[1].Err != nil || results[2].Err != nil {
		t.Fatalf("got %+v", results)
	}
	r.wait(t, own, 3)
	if got := r.texts(own); !slices.Equal(got, []string{"joined", "1", "2"}) {
		t.Errorf("got %v", got)
	}
}

// A master that is lost takes only its own channels along, until a replica is in its place.
// Durable messages arrive all the same.
func TestClusterFailover(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3)
	b := runBroker(t, clusterConfig(cluster))
	r := newRecorder()
	waitReady(t, b)
	all := channelsOfLinks(b, 2)
	lost := cluster.Masters[1]
	var hit []bool // by link: has something at the master that will be lost
	var moves []string
	ctx := context.Background()
	for i, names := range all {
		touched := cluster.Owner(strings.TrimPrefix(b.links[i].probeName, "push:")) == lost
		for _, name := range names {
			join(b, name, r)
			if cluster.Owner(name) == lost {
				touched = true
				moves = append(moves, "push:"+name)
			}
			r.wait(t, name, 1)
			if err := cluster.Client.SPublish(ctx, "push:"+name, "plain").Err(); err != nil {
				t.Fatal(err)
			}
			if _, err := b.Publish(ctx, name, []byte("first"), PublishOptions{Durable: true}); err != nil {
				t.Fatal(err)
			}
			r.wait(t, name, 3)
		}
		hit = append(hit, touched)
	}
	inherits := cluster.Replicas[1]
	inherits.CatchUp(lost)
	lost.Kill()
	begin := time.Now()
	for _, names := range all {
		for _, name := range names {
			// As a publisher does that wants to be sure.
			eventually(t, "the message is taken", func() bool {
				ctx, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				_, err := b.Publish(ctx, name, []byte("second"), PublishOptions{Durable: true, IdempotencyKey: "second"})
				return err == nil
			})
		}
	}
	waitReady(t, b)
	t.Logf("all channels are served %v after a master was lost", time.Since(begin))
	quiet := 0
	for i, names := range all {
		for _, name := range names {
			eventually(t, name+" has the second message", func() bool { return slices.Contains(r.texts(name), "second") })
			got := r.texts(name)
			if !hit[i] {
				quiet++
				if !slices.Equal(got, []string{"joined", "plain", "first", "second"}) {
					t.Errorf("%s of another master: %v", name, got)
				}
				continue
			}
			got = slices.DeleteFunc(got, func(text string) bool { return text == "gap:broker" })
			if !slices.Equal(got, []string{"joined", "plain", "first", "second"}) {
				t.Errorf("%s: %v", name, got)
			}
		}
	}
	if quiet == 0 || len(moves) == 0 {
		t.Errorf("hit of the links: %v", hit)
	}
	for full, n := range inherits.Client.PubSubShardNumSub(ctx, moves...).Val() {
		if n != 1 {
			t.Errorf("%s has %d subscribers at the replica that took over", full, n)
		}
	}
}

// A slot that moves to another server takes its channels' subscribers along.
func TestClusterMovesASlot(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3)
	b := runBroker(t, testConfig(cluster.URL()))
	r := newRecorder()
	waitReady(t, b)
	join(b, "news", r)
	r.wait(t, "news", 1)
	const before, during = 20, 200
	publish := func(n int) {
		t.Helper()
		eventually(t, "the message is taken", func() bool {
			// One with a key is refused while its slot moves and the other key is
			// still there; one without goes to the new owner at once.
			o := PublishOptions{Durable: true}
			if n%2 == 1 {
				o.IdempotencyKey = fmt.Sprint(n)
			}
			_, err := b.Publish(t.Context(), "news", fmt.Append(nil, n), o)
			return err == nil
		})
	}
	for n := range before {
		publish(n)
	}
	from := cluster.Owner("news")
	to := cluster.Masters[(slices.Index(cluster.Masters, from)+1)%3]
	moved := make(chan struct{})
	go func() {
		defer close(moved)
		cluster.Move(upstream.Slot("push:news"), from, to)
	}()
	for n := range during {
		publish(before + n)
	}
	<-moved
	publish(before + during)
	var want []string
	for n := range before + during + 1 {
		want = append(want, fmt.Sprint(n))
	}
	eventually(t, "all messages have come", func() bool { return slices.Contains(r.texts("news"), want[len(want)-1]) })
	got := slices.DeleteFunc(r.texts("news"), func(text string) bool { return text == "joined" || strings.HasPrefix(text, "gap:broker") })
	if !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	waitReady(t, b)
	if n := to.Client.PubSubShardNumSub(t.Context(), "push:news").Val()["push:news"]; n != 1 {
		t.Errorf("%d subscribers at the new owner", n)
	}
	// Plain messages go the new way too.
	n := len(r.of("news"))
	if _, err := b.Publish(t.Context(), "news", []byte("plain"), PublishOptions{}); err != nil {
		t.Fatal(err)
	}
	if e := r.wait(t, "news", n+1); e[n].text != "plain" {
		t.Errorf("got %+v", e[n])
	}
}

// A Cluster may be away at the start, as any Redis may.
func TestClusterComesLater(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3)
	all := append(cluster.Masters[:3:3], cluster.Replicas...)
	for _, s := range all {
		s.Kill()
	}
	b := runBroker(t, testConfig(cluster.URL()))
	r := newRecorder()
	join(b, "news", r)
	waitNotReady(t, b)
	for _, s := range all {
		s.Start()
	}
	waitReady(t, b)
	r.wait(t, "news", 1)
	if _, err := b.Publish(t.Context(), "news", []byte("x"), PublishOptions{}); err != nil {
		t.Fatal(err)
	}
	r.wait(t, "news", 2)
}

// When Sentinels make another server master, commands and subscriptions go
// there.
func TestSentinel(t *testing.T) {
	t.Parallel()
	sentinel := redistest.StartSentinel(t)
	b := runBroker(t, testConfig(sentinel.URL()))
	r := newRecorder()
	waitReady(t, b)
	join(b, "news", r)
	r.wait(t, "news", 1)
	ctx := context.Background()
	if _, err := b.Publish(ctx, "news", []byte("first"), PublishOptions{Durable: true}); err != nil {
		t.Fatal(err)
	}
	r.wait(t, "news", 2)
	sentinel.Replica.CatchUp(sentinel.Master)
	sentinel.Master.Kill()
	begin := time.Now()
	waitNotReady(t, b)
	eventually(t, "the message is taken", func() bool {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err := b.Publish(ctx, "news", []byte("second"), PublishOptions{Durable: true, IdempotencyKey: "second"})
		return err == nil
	})
	waitReady(t, b)
	t.Logf("served again %v after the master was lost", time.Since(begin))
	eventually(t, "the second message", func() bool { return slices.Contains(r.texts("news"), "second") })
	if n := sentinel.Replica.Client.PubSubNumSub(ctx, "push:news").Val()["push:news"]; n != 1 {
		t.Errorf("%d subscribers at the new master", n)
	}
	if got := slices.DeleteFunc(r.texts("news"), func(text string) bool { return text == "gap:broker" }); !slices.Equal(got, []string{"joined", "first", "second"}) {
		t.Errorf("got %v", got)
	}
}

// A lost connection is made again once, and go-redis makes none of its own.
func TestLostConnectionIsMadeOnce(t *testing.T) {
	server := startRedis(t)
	c := testConfig(server.URL())
	c.Connections = 1
	b := runBroker(t, c)
	r := newRecorder()
	for i := range 2000 {
		join(b, strconv.Itoa(i), r)
	}
	eventually(t, "all are joined", func() bool { return b.Stats().Links[0].Pending == 0 })
	waitReady(t, b)
	sent, seen := b.Stats().Subscribes, server.Calls("subscribe")
	server.Do("CLIENT", "KILL", "TYPE", "pubsub")
	eventually(t, "the connection is made again", func() bool { return b.Stats().Reconnects == 1 && b.Ready() == nil })
	ours := int(b.Stats().Subscribes-sent) + 1 // and the one of the probe
	if got := server.Calls("subscribe") - seen; got != ours {
		t.Errorf("the server has seen %d SUBSCRIBE commands, the link sent %d", got, ours)
	}
}
