package walls

import (
	"fmt"
	"os"
	"strings"

	"github.com/pushgate/pushgate/bench/chart"
)

// replaceBlock puts text into the page's block behind the comment that names a
// wall:
//
//	<!-- walls: NAME -->
//	```text
//	…
//	```
func replaceBlock(page, name, text string) error {
	content, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	replaced, err := withBlock(string(content), name, text)
	if err != nil {
		return fmt.Errorf("%s: %w", page, err)
	}
	return chart.WritePage(page, []byte(replaced))
}

func withBlock(page, name, text string) (string, error) {
	const open, end = "```text\n", "```\n"
	marker := "<!-- walls: " + name + " -->\n" + open
	before, rest, ok := strings.Cut(page, marker)
	if !ok {
		return "", fmt.Errorf("there is no block for %s", name)
	}
	at := strings.Index(rest, end)
	if at < 0 || strings.Contains(text, "```") {
		return "", fmt.Errorf("the block for %s has no end", name)
	}
	return before + marker + strings.TrimRight(text, "\n") + "\n" + rest[at:], nil
}
