package preflight

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
)

// WriteText writes the report for people: a table, then the commands to run,
// in the order in which they have to be run.
func (r Report) WriteText(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d connections, %s\n\n", r.Target.Connections, sideText(r.Target.Side))
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "\tKNOB\tSIDE\tVALUE\tNEEDED\tWHY")
	for _, f := range r.Findings {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\n", f.Verdict, f.Name, f.Side, dash(f.Value), dash(f.Needed), f.Why)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	fixes := r.Fixes()
	if len(fixes) == 0 {
		fmt.Fprintf(&b, "\nNothing to fix.\n")
	} else {
		fmt.Fprintf(&b, "\n%d of %d to fix:\n\n", len(fixes), len(r.Findings))
		seen := make(map[string]bool)
		for _, f := range fixes {
			// Two knobs can share a command.
			if !seen[f.Fix] {
				seen[f.Fix] = true
				fmt.Fprintf(&b, "  %s\n", f.Fix)
			}
		}
		fmt.Fprintf(&b, "\nTo keep them over a reboot:\n\n")
		fmt.Fprintf(&b, "  %s --sysctl | sudo tee /etc/sysctl.d/90-gateway.conf\n", r.command())
		fmt.Fprintf(&b, "  %s --systemd | sudo tee /etc/systemd/system/gateway.service.d/limits.conf\n", r.command())
	}
	_, err := w.Write(b.Bytes())
	return err
}

// command is what the operator ran to get this report.
func (r Report) command() string {
	s := fmt.Sprintf("gateway doctor --target %d --side %s", r.Target.Connections, r.Target.Side)
	if r.Target.SourceAddresses > 1 {
		s += fmt.Sprintf(" --sources %d", r.Target.SourceAddresses)
	}
	return s
}

func sideText(s Side) string {
	switch s {
	case Client:
		return "client side"
	case Both:
		return "both ends on this box"
	}
	return "server side"
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// WriteJSON writes the report as one JSON object.
func (r Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false) // commands hold && and |
	findings := r.Findings
	if findings == nil {
		findings = []Finding{}
	}
	return enc.Encode(struct {
		Target   int       `json:"target"`
		Side     Side      `json:"side"`
		OK       bool      `json:"ok"`
		Findings []Finding `json:"findings"`
	}{r.Target.Connections, r.Target.Side, r.OK(), findings})
}
