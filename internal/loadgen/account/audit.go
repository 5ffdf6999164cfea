package account

// Audit is the published messages that subscriptions miss.
type Audit struct {
	Missing    uint64   `json:"missing"`
	Moved      uint64   `json:"moved"`   // of it, of clients that the run cut
	Cut        uint64   `json:"cut"`     // of it, while a proxy may have cut the client
	Unknown    uint64   `json:"unknown"` // beside it, of messages that Redis did not answer for
	Incomplete uint64   `json:"incomplete"`
	Examples   []string `json:"examples"`
	Exact      bool     `json:"exact"`
}

// MaxExamples is how many incomplete subscriptions a result names.
const MaxExamples = 5

// Add adds the audit of others.
func (a *Audit) Add(o *Audit) {
	AddNumbers(a, o)
	a.Exact = a.Exact && o.Exact
	a.Examples = append(a.Examples, o.Examples[:min(len(o.Examples), MaxExamples-len(a.Examples))]...)
}

// Lapse is a message that no client is expected to get: it was never sent, or that is unknown.
type Lapse struct {
	Channel uint32 `json:"channel"`
	Seq     uint32 `json:"seq"`
	Unknown bool   `json:"unknown,omitempty"`
}

// Excuse takes the lapses of a channel off a subscription's missing messages, and
// finds the first message that is missed all the same.
func (a *Audit) Excuse(g *Ledger, sub uint32, lapses []Lapse, ch, published uint32, n uint64, first uint32) (uint64, uint32) {
	excused := make(map[uint32]bool)
	for _, x := range lapses {
		if x.Channel != ch || !g.lacks(sub, x.Seq) {
			continue
		}
		n--
		if x.Unknown {
			a.Unknown++
		}
		excused[x.Seq] = true
	}
	for first > 0 && first < published && (excused[first] || !g.lacks(sub, first)) {
		first++
	}
	return n, first
}
