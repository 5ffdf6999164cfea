package redistest

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/pushgate/pushgate/internal/loopback"
)

// Slots is how many slots a Cluster has.
const Slots = 16384

// Cluster is a Redis Cluster of masters that share the slots evenly, in order,
// each with one replica. A master that is gone is replaced within some seconds.
type Cluster struct {
	Masters, Replicas []*Server
	Client            *redis.ClusterClient

	t     testing.TB
	certs *Certificates // nil without TLS
}

// StartCluster starts a Cluster that lives until the test ends.
func StartCluster(t testing.TB, masters int) *Cluster {
	t.Helper()
	return StartSecureCluster(t, masters, nil)
}

// StartSecureCluster starts one whose servers listen with TLS too.
func StartSecureCluster(t testing.TB, masters int, certs *Certificates) *Cluster {
	t.Helper()
	c := &Cluster{t: t, certs: certs}
	var buses []string
	for range 2 * masters {
		s, bus := c.node()
		c.Masters = append(c.Masters, s)
		buses = append(buses, bus)
	}
	c.Masters, c.Replicas = c.Masters[:masters], c.Masters[masters:]
	ids := make([]string, masters)
	for i, s := range c.Masters {
		s.Do("CLUSTER", "SET-CONFIG-EPOCH", i+1)
		s.Do("CLUSTER", "ADDSLOTSRANGE", i*Slots/masters, (i+1)*Slots/masters-1)
		ids[i] = s.Do("CLUSTER", "MYID").(string)
	}
	all := append(c.Masters[:masters:masters], c.Replicas...)
	for i, s := range all { // each one all others: gossip would take seconds
		addr := s.Addr
		if certs != nil {
			addr = s.Secure // the servers speak TLS among themselves
		}
		host, port, _ := net.SplitHostPort(addr)
		for _, other := range all[:i] {
			other.Do("CLUSTER", "MEET", host, port, buses[i])
		}
	}
	for i, s := range c.Replicas {
		s.await("the replica knows its master", func() bool {
			return s.Client.Do(context.Background(), "CLUSTER", "REPLICATE", ids[i]).Err() == nil
		})
	}
	addrs := make([]string, masters)
	for i, s := range c.Masters {
		addrs[i] = s.Addr
		s.await("the cluster is complete", func() bool {
			info, _ := s.Client.ClusterInfo(context.Background()).Result()
			slots, _ := s.Client.ClusterSlots(context.Background()).Result()
			known := 0
			for _, slot := range slots {
				known += len(slot.Nodes)
			}
			return strings.Contains(info, "cluster_state:ok") && known == 2*masters
		})
	}
	for _, s := range c.Replicas {
		s.await("the replica has its master's data", func() bool {
			return s.replication("master_link_status") == "up"
		})
	}
	c.Client = redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs, Protocol: 2, DisableIdentity: true})
	t.Cleanup(func() { c.Client.Close() })
	return c
}

// node starts a server that belongs to no cluster yet, and returns the port of
// its bus.
func (c *Cluster) node() (s *Server, bus string) {
	addr, err := loopback.Reserve()
	if err != nil {
		c.t.Fatal(err)
	}
	_, bus, _ = net.SplitHostPort(addr)
	s = New(c.t, "--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-node-timeout", "2500",
		"--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1", "--cluster-replica-validity-factor", "0", "--loglevel", "warning")
	s.args = append(s.args, "--cluster-config-file", filepath.Join(c.t.TempDir(), "nodes.conf"))
	if c.certs != nil {
		c.certs.listen(s)
		s.args = append(s.args, "--tls-cluster", "yes")
	}
	s.Start()
	return s, bus
}

// URL returns the address in the form of the configuration.
func (c *Cluster) URL() string {
	if c.certs != nil {
		return fmt.Sprintf("rediss+cluster://%s?addr=%s&%s", c.Masters[0].Secure, c.Masters[1].Secure, c.certs.Query())
	}
	return fmt.Sprintf("redis+cluster://%s?addr=%s", c.Masters[0].Addr, c.Masters[1].Addr)
}

// Owner returns the master of a channel of a gateway with the default prefix.
func (c *Cluster) Owner(channel string) *Server {
	c.t.Helper()
	owner, err := c.Client.MasterForKey(context.Background(), "push:"+channel)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, s := range append(c.Masters[:len(c.Masters):len(c.Masters)], c.Replicas...) {
		if s.Addr == owner.Options().Addr {
			return s
		}
	}
	c.t.Fatalf("no server has the address %s", owner.Options().Addr)
	return nil
}

// Move moves a slot with its keys from one master to another, as redis-cli
// does.
func (c *Cluster) Move(slot int, from, to *Server) {
	c.t.Helper()
	source, target := from.Do("CLUSTER", "MYID"), to.Do("CLUSTER", "MYID")
	to.Do("CLUSTER", "SETSLOT", slot, "IMPORTING", source)
	from.Do("CLUSTER", "SETSLOT", slot, "MIGRATING", target)
	host, port, _ := net.SplitHostPort(to.Addr)
	for {
		keys, _ := from.Do("CLUSTER", "GETKEYSINSLOT", slot, 100).([]any)
		if len(keys) == 0 {
			break
		}
		from.Do(append([]any{"MIGRATE", host, port, "", 0, 5000, "KEYS"}, keys...)...)
	}
	to.Do("CLUSTER", "SETSLOT", slot, "NODE", target)
	from.Do("CLUSTER", "SETSLOT", slot, "NODE", target)
}

// Sentinel is a master with a replica and a Sentinel that makes the replica
// master within some seconds when the master is gone.
type Sentinel struct {
	Master, Replica *Server
	Addr            string // of the Sentinel

	certs *Certificates // nil without TLS
}

// MasterName is the Sentinel's name for its master.
const MasterName = "mymaster"

// StartSentinel starts all three; they live until the test ends.
func StartSentinel(t testing.TB) *Sentinel {
	t.Helper()
	master := Start(t, "--repl-diskless-sync-delay", "0")
	host, port, _ := net.SplitHostPort(master.Addr)
	replica := Start(t, "--replicaof", host+" "+port)
	replica.await("the replica has its master's data", func() bool {
		return replica.replication("master_link_status") == "up"
	})
	// A Sentinel reads its master from a file, which it keeps up to date.
	file := filepath.Join(t.TempDir(), "sentinel.conf")
	text := fmt.Sprintf("sentinel monitor %[1]s %[2]s %[3]s 1\nsentinel down-after-milliseconds %[1]s 2000\nsentinel failover-timeout %[1]s 6000\n", MasterName, host, port)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	sentinel := New(t)
	sentinel.args = []string{file, "--sentinel", "--port", sentinel.port, "--bind", "127.0.0.1"}
	sentinel.Start()
	sentinel.await("the Sentinel knows the replica", func() bool {
		found, _ := sentinel.Client.Do(context.Background(), "SENTINEL", "REPLICAS", MasterName).Slice()
		return len(found) == 1
	})
	return &Sentinel{Master: master, Replica: replica, Addr: sentinel.Addr}
}

// StartSecureSentinel starts a master without a replica, and a Sentinel, which
// both listen with TLS too.
func StartSecureSentinel(t testing.TB, certs *Certificates) *Sentinel {
	t.Helper()
	master := StartSecure(t, certs)
	host, port, _ := net.SplitHostPort(master.Secure)
	file := filepath.Join(t.TempDir(), "sentinel.conf")
	if err := os.WriteFile(file, fmt.Appendf(nil, "sentinel monitor %s %s %s 1\n", MasterName, host, port), 0o600); err != nil {
		t.Fatal(err)
	}
	sentinel := New(t)
	sentinel.args = []string{file, "--sentinel", "--port", sentinel.port, "--bind", "127.0.0.1"}
	certs.listen(sentinel)
	sentinel.Start()
	return &Sentinel{Master: master, Addr: sentinel.Secure, certs: certs}
}

// URL returns the address in the form of the configuration.
func (s *Sentinel) URL() string {
	if s.certs != nil {
		return fmt.Sprintf("rediss+sentinel://%s?master_name=%s&%s", s.Addr, MasterName, s.certs.Query())
	}
	return fmt.Sprintf("redis+sentinel://%s?master_name=%s", s.Addr, MasterName)
}

// CatchUp waits until the server, a replica, has all that its master has.
func (s *Server) CatchUp(master *Server) {
	s.t.Helper()
	s.await("the replica has caught up", func() bool {
		has := s.replication("slave_repl_offset")
		return has != "" && has == master.replication("master_repl_offset")
	})
}

// replication returns a field of INFO's section on replication.
func (s *Server) replication(field string) string { return s.info("replication", field+":") }
