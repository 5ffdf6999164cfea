package million

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pushgate/pushgate/bench/client"
	"github.com/pushgate/pushgate/bench/page"
	"github.com/pushgate/pushgate/bench/rig"
)

// result is one run's. Times are in seconds, memory in bytes.
type result struct {
	Date     string      `json:"date"`
	Machine  rig.Machine `json:"machine"`
	Emulated bool        `json:"emulated"`
	Clients  int         `json:"clients"`
	Personal bool        `json:"personal,omitempty"` // a channel of its own for each client
	TLS      bool        `json:"tls,omitempty"`
	Leavers  int         `json:"leavers"`
	Interval float64     `json:"interval"`
	Command  string      `json:"command"`
	Gateway  []string    `json:"gateway"`

	Before memory  `json:"before"` // the gateway runs, no client is there
	Held   memory  `json:"held"`   // all are connected and were quiet for a while
	Points []point `json:"points"`

	Connect  step   `json:"connect"`
	Hold     hold   `json:"hold"`
	Messages []step `json:"messages"` // each on its way to all its subscribers
	Return   step   `json:"return"`
	Drain    drain  `json:"drain"`

	Counts client.Counts `json:"counts"`
	Failed []string      `json:"failed"`
}

// step is a part of the course with a goal.
type step struct {
	Goal    int           `json:"goal"`
	Reached int           `json:"reached"`
	Seconds float64       `json:"seconds"`
	CPU     float64       `json:"cpu"` // of the gateway
	Curve   []client.Mark `json:"curve"`
	Lag     lag           `json:"lag"`
}

// hold is the step of nothing but heartbeats.
type hold struct {
	Seconds float64 `json:"seconds"`
	CPU     float64 `json:"cpu"`
	IdleCPU float64 `json:"idle_cpu"` // a second, before any client came
	Pings   int     `json:"pings"`
	Lag     lag     `json:"lag"`
}

// drain is the shutdown.
type drain struct {
	step
	Planned float64 `json:"planned"` // drain.timeout
	Exit    float64 `json:"exit"`    // from SIGTERM to the end of the process
	Clean   bool    `json:"clean"`   // exit code 0
}

// point is the box at one moment.
type point struct {
	Seconds     float64 `json:"s"`
	Step        string  `json:"step"`
	Connections int     `json:"connections"`
	RSS         int64   `json:"rss"`
	Slab        int64   `json:"slab"`
	SocketPages int64   `json:"socket_pages"`
}

// readResult reads the last whole line: a run writes one after each step, so
// that one which is stopped has not been for nothing.
func readResult(name string) (*result, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var res *result
	for line := range bytes.Lines(text) {
		whole := new(result)
		if json.Unmarshal(line, whole) == nil {
			res = whole
		}
	}
	if res == nil {
		return nil, errors.New("the run left no result")
	}
	return res, nil
}

// maxPoints is how many samples a result keeps; more would not show in a chart.
const maxPoints = 240

// thin leaves every nth point out of too many.
func thin(points []point) []point {
	step := (len(points) + maxPoints - 1) / maxPoints
	if step <= 1 {
		return points
	}
	var kept []point
	for i := 0; i < len(points); i += step {
		kept = append(kept, points[i])
	}
	return kept
}

// keep puts the result beside the charts, so that they can be made anew and
// other runs compared.
func (res *result) keep(docs string) error {
	name := fmt.Sprint(res.Clients)
	if res.Emulated {
		name += "-guest"
	}
	if res.Personal {
		name += "-personal"
	}
	if res.TLS {
		name += "-tls"
	}
	return page.Keep(filepath.Join(docs, "million"), name, res)
}

// write writes to a file or, in the guest, to the serial port that the host
// reads.
func (res *result) write(name string) error {
	text, err := json.Marshal(res)
	return errors.Join(err, os.WriteFile(name, append(text, '\n'), 0o644))
}
