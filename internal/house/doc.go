// Package house holds the rules of the repository as tests: who may import
// whom, how files look, and that the documents tell the truth. It has no code
// of its own.
package house
