// Package torture has random clients do whatever they can to the real gateway, while its Redis
// fails, its operator calls and it is restarted, and judges it by the messages of well-behaved
// clients beside them and by its resources when all have gone.
package torture

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/pushgate/pushgate/internal/gatewaytest"
)

var (
	// tortureTime is for how long TestTorture plays rounds of new seeds: make torture.
	tortureTime = flag.Duration("torture.time", 0, "play new seeds for this long in place of the kept ones")
	// tortureSeed is the first of them, or the only one.
	tortureSeed = flag.Uint64("torture.seed", 0, "with torture.time the first seed, without it the only one")
	// tortureRace builds the gateway with the race detector.
	tortureRace = flag.Bool("torture.race", false, "build the gateway with the race detector")
	// tortureRound is how long the clients of one round go on.
	tortureRound = flag.Duration("torture.round", 0, "how long a round's clients go on (default 2s, with torture.time 15s)")
	// tortureClients is how many random clients there are.
	tortureClients = flag.Int("torture.clients", 0, "how many random clients there are (default 24, with torture.time 64)")
)

// program is the gateway, built for these tests.
var program string

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "torture")
	if err != nil {
		panic(err)
	}
	program = filepath.Join(dir, "gateway")
	var flags []string
	if *tortureRace {
		flags = append(flags, "-race")
		os.Setenv("GORACE", "halt_on_error=1 exitcode=66") // of the gateway
	}
	if err := gatewaytest.Build(dir, []string{"gateway"}, flags...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.RemoveAll(dir)
		os.Exit(1)
	}
	redis.SetLogger(silent{}) // the servers fail all the time
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// silent drops the log of the client of Redis.
type silent struct{}

// Printf does nothing.
func (silent) Printf(context.Context, string, ...any) {}

// extent returns how long a round's clients go on and how many they are.
func extent() (time.Duration, int) {
	lasting, clients := 2*time.Second, 24
	if *tortureTime > 0 {
		lasting, clients = 15*time.Second, 64
	}
	if *tortureRound > 0 {
		lasting = *tortureRound
	}
	if *tortureClients > 0 {
		clients = *tortureClients
	}
	return lasting, clients
}
