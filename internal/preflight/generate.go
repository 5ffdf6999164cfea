package preflight

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// Reference is what the files in the repository are made for: a million
// connections on the server, and on a client box the source addresses that so
// many take.
func Reference(side Side) Target {
	return Target{Connections: 1_000_000, Side: side, SourceAddresses: 20}
}

// WriteSysctl writes /etc/sysctl.d lines for the target. What the box has
// enough of stays as it is and is named in a comment; the zero Env gives every
// line.
func WriteSysctl(w io.Writer, e Env, t Target) error {
	t = t.withDefaults()
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Kernel settings for %d connections, %s.\n", t.Connections, sideText(t.Side))
	fmt.Fprintf(&b, "# Made by: gateway doctor --target %d --side %s --sysctl\n", t.Connections, t.Side)
	fmt.Fprintf(&b, "# Install as /etc/sysctl.d/90-gateway.conf and run: sudo sysctl --system\n")
	writeSettings(&b, e, t, func(knob) bool { return true })
	_, err := w.Write(b.Bytes())
	return err
}

// WriteReferenceSysctl writes configs/sysctl.conf: all that a server needs,
// then, commented out, what a box of clients needs besides.
func WriteReferenceSysctl(w io.Writer) error {
	var b, off bytes.Buffer
	server, client := Reference(Server).withDefaults(), Reference(Client).withDefaults()
	fmt.Fprintf(&b, "# Kernel settings for a box that carries %d connections, for one whose\n", server.Connections)
	fmt.Fprintf(&b, "# values are not known. For yours: gateway doctor --target N --sysctl\n")
	fmt.Fprintf(&b, "# Install as /etc/sysctl.d/90-gateway.conf and run: sudo sysctl --system\n")
	writeSettings(&b, Env{}, server, func(knob) bool { return true })
	fmt.Fprintf(&b, "\n# Only where the clients run, a load generator with %d source addresses or a\n", client.SourceAddresses)
	fmt.Fprintf(&b, "# proxy in front of the gateway: take the # off the settings there.\n")
	writeSettings(&off, Env{}, client, func(k knob) bool { return k.side == Client })
	b.WriteString(regexp.MustCompile(`(?m)^([^#\n])`).ReplaceAllString(off.String(), "#$1"))
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

// WriteManual writes the table of docs/OPERATIONS.md, with the reference
// target's values.
func WriteManual(w io.Writer) error {
	var b bytes.Buffer
	b.WriteString("| knob | side | what happens below it | how much, and from where |\n|---|---|---|---|\n")
	for _, k := range knobs() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", k.name, k.side, k.why, k.formula)
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
