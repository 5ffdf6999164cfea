// Package house holds the rules of the repository as tests: allowed imports, the form of files,
// and the truth of the documents. It has no code of its own.
package house
