package torture

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// seedFile holds the seeds that are played again each time: some that found bugs, and some that
// between them draw every setting.
const seedFile = "testdata/seeds.txt"

// Whatever clients do, the gateway goes on, good clients get all their messages, and nothing is
// left when all have gone.
func TestTorture(t *testing.T) {
	if *tortureTime == 0 {
		seeds := keptSeeds(t)
		if *tortureSeed != 0 {
			seeds = []uint64{*tortureSeed}
		}
		for _, seed := range seeds {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				play(t, seed)
			})
		}
		return
	}
	seed := *tortureSeed
	if seed == 0 {
		seed = uint64(time.Now().Unix())
	}
	rounds, failed := 0, 0
	for end := time.Now().Add(*tortureTime); time.Now().Before(end); seed++ {
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) { play(t, seed) }) {
			failed++
		}
		rounds++
	}
	t.Logf("%d rounds, %d failed", rounds, failed)
}

// keptSeeds reads the seed file: on each line a seed, then the reason for keeping it.
func keptSeeds(t *testing.T) []uint64 {
	t.Helper()
	file, err := os.Open(seedFile)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var seeds []uint64
	for lines := bufio.NewScanner(file); lines.Scan(); {
		word, _, _ := strings.Cut(lines.Text(), " ")
		if word == "" || word == "#" {
			continue
		}
		seed, err := strconv.ParseUint(word, 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", seedFile, err)
		}
		seeds = append(seeds, seed)
	}
	if len(seeds) == 0 {
		t.Fatalf("%s holds no seed", seedFile)
	}
	return seeds
}
