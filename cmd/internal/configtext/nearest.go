package configtext

import "strings"

// separators are interchangeable where a name is guessed: a variable may have a
// single underscore in place of a dot.
var separators = strings.NewReplacer(".", "_", "-", "_")

// Nearest returns the known name that an unknown one was probably meant to be,
// or "": one that is at most two letters away, or the only one that has all of it
// after one of its dots.
func Nearest(name string, known []string) string {
	name = separators.Replace(name)
	best, distance := "", 3
	end, ends := "", 0
	for _, k := range known {
		spelled := separators.Replace(k)
		if d := editDistance(spelled, name); d < distance {
			best, distance = k, d
		}
		if strings.HasSuffix(spelled, "_"+name) {
			end = k
			ends++
		}
	}
	if best == "" && ends == 1 && end[len(end)-len(name)-1] == '.' {
		return end
	}
	return best
}

// editDistance counts the insertions, deletions and replacements of bytes
// that turn a into b.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
