package torture

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// operate makes one of the operator's calls, on which the clients have an effect
// or that have one on clients.
func (r *round) operate(random *rand.Rand) {
	channel := noiseChannel(random)
	switch random.IntN(12) {
	case 0:
		r.judgeCall("GET", "/metrics", "")
	case 1:
		r.judgeCall("GET", "/v1/channels", "")
	case 2:
		r.judgeCall("GET", "/v1/channels/"+channel, "")
	case 3:
		r.judgeCall("DELETE", "/v1/channels/"+channel, "")
	case 4:
		r.judgeCall("GET", "/v1/nodes", "")
	case 5:
		r.judgeCall("POST", "/v1/rebalance", `{"over":"100ms"}`)
	case 6:
		r.judgeCall("GET", "/debug/pprof/heap?gc=1", "")
	case 7:
		r.judgeCall("POST", "/v1/drain", `{"fraction":0.3,"over":"100ms"}`)
	case 8:
		r.judgeCall("POST", "/v1/publish", fmt.Sprintf(`{"messages":[{"channel":%q,"data":1},{"channel":%q,"data":{"a":"b"},"durable":true,"idempotency_key":"k"}]}`, channel, channel))
	case 9:
		r.judgeCall("POST", "/v1/publish", `{"messages":[{"channel":"a b","data":1},`)
	default:
		body := r.judgeCall("GET", "/v1/connections?limit=50", "")
		type connection struct{ ID, Transport string }
		var list struct{ Connections []connection }
		json.Unmarshal([]byte(body), &list)
		// One that makes a request may be the watcher of /healthz.
		clients := slices.DeleteFunc(list.Connections, func(c connection) bool { return c.Transport == "http" })
		if len(clients) == 0 {
			return
		}
		id := clients[random.IntN(len(clients))].ID
		r.judgeCall("GET", "/v1/connections/"+id, "")
		r.judgeCall("DELETE", "/v1/connections/"+id, "")
	}
}

// slowest is the most that a call, and /healthz, may take while the gateway runs.
const slowest = 10 * time.Second

// judgeCall makes a call, and judges its answer.
func (r *round) judgeCall(method, path, body string) string {
	begun := time.Now()
	status, answer, err := r.gateway.call(method, path, body)
	switch took := time.Since(begun); {
	case err != nil:
		r.fault("%s %s: %v", method, path, err)
	case took > slowest:
		r.fault("%s %s took %v", method, path, took)
	case status >= 500 && status != 503 && status != 504 && path != "/metrics":
		r.fault("%s %s: %d %s", method, path, status, answer)
	case strings.HasPrefix(path, "/v1/") && answer != "" && !json.Valid([]byte(answer)):
		r.fault("%s %s: the answer is no JSON: %q", method, path, answer)
	}
	return answer
}
