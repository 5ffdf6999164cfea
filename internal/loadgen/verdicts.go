package loadgen

// verdicts writes how the SLOs came out.
func (r *Result) verdicts(t *table) {
	if len(r.SLOs) == 0 {
		return
	}
	t.title("SLOs")
	for _, v := range r.SLOs {
		word := "MISSED"
		switch {
		case v.Met:
			word = "met"
		case r.Partial && !v.Measured:
			word = "-"
		}
		t.row(v.SLO, "%-7s %s", word, v.Text())
	}
}

// Word is the run in a word or two, the gravest thing first.
func (r *Result) Word() string {
	switch {
	case r.Interrupted && r.Aborted == "":
		return "INTERRUPTED"
	case !r.Met() && !r.Partial:
		return "SLO MISSED"
	case !r.Good():
		return "FAILED"
	}
	return "OK"
}
