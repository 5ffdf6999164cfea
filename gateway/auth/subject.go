package auth

import "strings"

// subject is where the subject of a token is put into a pattern.
const subject = "{sub}"

const upperHex = "0123456789ABCDEF"

// Escape returns a subject as it stands in channel names in the place of {sub}.
// Letters, digits and the bytes _-@=~!$+# stand for themselves; every other
// byte, the separators . : / too, is = and its two upper-case hexadecimal
// digits, and so is an = that two such digits follow: auth0|7 is auth0=7C7.
//
// So a subject is always part of a single segment, and no two have the same
// form: an = is the beginning of a byte where two digits follow, else itself.
func Escape(sub string) string {
	if escapedLen(sub) == len(sub) {
		return sub
	}
	var b strings.Builder
	b.Grow(escapedLen(sub))
	for i := range len(sub) {
		if literal(sub, i) {
			b.WriteByte(sub[i])
		} else {
			b.Write([]byte{'=', upperHex[sub[i]>>4], upperHex[sub[i]&15]})
		}
	}
	return b.String()
}

// fill returns a pattern or a name with a subject put in, if there is one.
func fill(text, sub string) string {
	if sub == "" {
		return text
	}
	return strings.ReplaceAll(text, subject, Escape(sub))
}

// escapedLen returns the length of Escape's result.
func escapedLen(sub string) int {
	n := len(sub)
	for i := range len(sub) {
		if !literal(sub, i) {
			n += 2
		}
	}
	return n
}

// cutSubject returns the text behind the escaped subject at the beginning of a
// channel's name, and whether it stands there. It needs no memory, as a grant
// has the subject only as it is.
func cutSubject(ch, sub string) (rest string, ok bool) {
	for i := range len(sub) {
		switch {
		case literal(sub, i):
			if ch == "" || ch[0] != sub[i] {
				return "", false
			}
			ch = ch[1:]
		default:
			if len(ch) < 3 || ch[0] != '=' || ch[1] != upperHex[sub[i]>>4] || ch[2] != upperHex[sub[i]&15] {
				return "", false
			}
			ch = ch[3:]
		}
	}
	return ch, true
}

// literal reports whether a byte of a subject stands for itself.
func literal(sub string, i int) bool {
	switch b := sub[i]; {
	case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9':
		return true
	case b == '=':
		return i+2 >= len(sub) || !isUpperHex(sub[i+1]) || !isUpperHex(sub[i+2])
	default:
		return strings.IndexByte("_-@~!$+#", b) >= 0
	}
}

func isUpperHex(b byte) bool { return '0' <= b && b <= '9' || 'A' <= b && b <= 'F' }
