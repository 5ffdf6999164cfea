// Package configerror has the error that every part's configuration reports: a key, its value
// and the allowed values, in the words of the configuration file.
package configerror

// Error is one key with a value that can't be used.
type Error struct {
	Key   string // as in the configuration file, such as redis.url
	Value string // as it was written, quoted if it is text; empty if it is missing
	Want  string // the allowed values
}

func (e *Error) Error() string {
	if e.Value == "" {
		return e.Key + ": missing, want " + e.Want
	}
	return e.Key + ": " + e.Value + " is not allowed, want " + e.Want
}
