package preflight

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// WriteText writes the report for people: a table, then the commands to run,
// in the order in which they have to be run, then what to do about warnings.
func (r Report) WriteText(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d connections, %s\n\n", r.Target.Connections, sideText[r.Target.Side])
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "\tKNOB\tSIDE\tVALUE\tNEEDED\tWHY")
	for _, f := range r.Findings {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\n", f.Verdict, f.Name, f.Side, cmp.Or(f.Value, "-"), cmp.Or(f.Needed, "-"), f.Why)
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
	}
	if slices.ContainsFunc(fixes, func(f Finding) bool { return f.lasting }) {
		fmt.Fprintf(&b, "\nTo keep them over a reboot:\n\n")
		fmt.Fprintf(&b, "  %s --sysctl | sudo tee /etc/sysctl.d/90-gateway.conf\n", r.Target.command())
		fmt.Fprintf(&b, "  %s --systemd | sudo tee /etc/systemd/system/gateway.service.d/limits.conf\n", r.Target.command())
	}
	if warnings := r.with(Warn); len(warnings) > 0 {
		fmt.Fprintf(&b, "\nWarnings:\n\n")
		for _, f := range warnings {
			fmt.Fprintf(&b, "  %s: %s\n", f.Name, f.Fix)
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// command asks for the report on the target again.
func (t Target) command() string {
	s := fmt.Sprintf("gateway doctor --target %d --side %s", t.Connections, t.Side)
	if t.SourceAddresses > 1 {
		s += fmt.Sprintf(" --sources %d", t.SourceAddresses)
	}
	return s
}

var sideText = map[Side]string{Server: "server side", Client: "client side", Both: "both ends on this box"}

// WriteJSON writes the report as one JSON object.
func (r Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false) // commands hold && and |
	return enc.Encode(struct {
		Target   int       `json:"target"`
		Side     Side      `json:"side"`
		OK       bool      `json:"ok"`
		Findings []Finding `json:"findings"`
	}{r.Target.Connections, r.Target.Side, r.OK(), append([]Finding{}, r.Findings...)})
}

// WriteSysctl writes /etc/sysctl.d lines for the target. Settings that are enough
// already are named in comments; the zero Env gives every line.
func WriteSysctl(w io.Writer, e Env, t Target) error {
	t = t.withDefaults()
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Kernel settings for %d connections, %s.\n", t.Connections, sideText[t.Side])
	fmt.Fprintf(&b, "# Made by: gateway doctor --target %d --side %s --sysctl\n", t.Connections, t.Side)
	fmt.Fprintf(&b, "# Install as /etc/sysctl.d/90-gateway.conf and run: sudo sysctl --system\n")
	writeSettings(&b, e, t, func(knob) bool { return true })
	_, err := w.Write(b.Bytes())
	return err
}

func writeSettings(b *bytes.Buffer, e Env, t Target, want func(knob) bool) {
	for _, k := range knobs() {
		if !t.Side.includes(k.side) || !want(k) {
			continue
		}
		f := k.run(e, t)
		if f.Setting == "" {
			continue
		}
		fmt.Fprintln(b)
		if f.Verdict == Pass {
			fmt.Fprintf(b, "# %s is enough here: %s\n", k.name, f.Value)
			continue
		}
		fmt.Fprintf(b, "%s\n", wrap(k.formula, "# ", 78))
		fmt.Fprintf(b, "%s%s = %s\n", optional(k), k.name, f.Setting)
	}
}

// optional marks a setting that may be missing from the kernel: sysctl ignores
// a failing line that starts with a minus.
func optional(k knob) string {
	if strings.HasPrefix(k.name, "net.netfilter.") {
		return "-"
	}
	return ""
}

// WriteSystemd writes the drop-in for gateway.service.
func WriteSystemd(w io.Writer, t Target) error {
	t = t.withDefaults()
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Process limits for %d connections.\n", t.Connections)
	fmt.Fprintf(&b, "# Made by: gateway doctor --target %d --systemd\n", t.Connections)
	fmt.Fprintf(&b, "# Install as /etc/systemd/system/gateway.service.d/limits.conf and run:\n")
	fmt.Fprintf(&b, "#   sudo systemctl daemon-reload && sudo systemctl restart gateway\n")
	fmt.Fprintf(&b, "[Service]\n")
	for _, k := range knobs() {
		if k.unit == nil || !t.Side.includes(k.side) {
			continue
		}
		fmt.Fprintf(&b, "%s\n%s\n", wrap(k.formula, "# ", 78), k.unit(t))
	}
	_, err := w.Write(b.Bytes())
	return err
}

// wrap breaks text at spaces into lines that start with prefix.
func wrap(text, prefix string, width int) string {
	var lines []string
	line := prefix
	for word := range strings.FieldsSeq(text) {
		if len(line) > len(prefix) && len(line)+len(word) > width {
			lines = append(lines, strings.TrimRight(line, " "))
			line = prefix
		}
		line += word + " "
	}
	return strings.Join(append(lines, strings.TrimRight(line, " ")), "\n")
}
