package preflight

// Verdict is what came out for one knob.
type Verdict string

const (
	// Pass: the box has what the target needs.
	Pass Verdict = "PASS"
	// Fix: the target is not reached before the knob is turned.
	Fix Verdict = "FIX"
	// Skip: it does not apply here, or can't be read; Why says which.
	Skip Verdict = "SKIP"
)

// Finding is one knob of the box against the target.
type Finding struct {
	Name    string  `json:"name"`
	Side    Side    `json:"side"`
	Verdict Verdict `json:"verdict"`
	// Value and Needed are as an operator would write them; Value is empty
	// when it could not be read.
	Value  string `json:"value"`
	Needed string `json:"needed"`
	// Why is one line: what goes wrong, or for Skip why nothing was checked.
	Why string `json:"why"`
	// Fix is the command that turns the knob; empty for Pass.
	Fix string `json:"fix,omitempty"`
	// Setting is the value for /etc/sysctl.d where the knob is a sysctl.
	Setting string `json:"-"`
}

// Report is all findings for one target, in the order in which the knobs have
// to be turned.
type Report struct {
	Target   Target // with its defaults filled in
	Findings []Finding
}

// OK reports that nothing is left to fix.
func (r Report) OK() bool { return len(r.Fixes()) == 0 }

// Fixes returns the findings that keep the box from the target.
func (r Report) Fixes() []Finding {
	var out []Finding
	for _, f := range r.Findings {
		if f.Verdict == Fix {
			out = append(out, f)
		}
	}
	return out
}
