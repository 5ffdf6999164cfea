package fanout

import (
	"testing"
	"time"
)

// However long a password was wrong, the broker is ready soon after it's right again.
func TestPasswordIsRightAgain(t *testing.T) {
	t.Parallel()
	if most := mostDelay/2 + mostDelay; most > time.Second {
		t.Errorf("two tries are up to %v apart", most)
	}
	server := startRedis(t)
	server.Do("ACL", "SETUSER", "gateway", "on", ">right", "~*", "&*", "+@all")
	c := testConfig("redis://gateway:right@" + server.Addr)
	c.ProbeInterval = time.Second
	b := runBroker(t, c)
	waitReady(t, b)
	server.Do("ACL", "SETUSER", "gateway", "resetpass", ">other")
	server.Do("CLIENT", "KILL", "USER", "gateway")
	waitNotReady(t, b)
	before := b.Stats().Reconnects
	eventually(t, "the tries have become as rare as they do", func() bool {
		return b.Stats().Reconnects > before+uint64(8*len(b.links))
	})
	server.Do("ACL", "SETUSER", "gateway", "resetpass", ">right")
	begin := time.Now()
	waitReady(t, b)
	took := time.Since(begin)
	t.Logf("ready %v after the password was right again", took)
	// A try is at most 0.75 s away; the rest is for a busy machine.
	if took > 2*time.Second {
		t.Errorf("ready %v after the password was right again", took)
	}
}
