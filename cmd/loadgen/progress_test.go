package main

import (
	"bytes"
	"testing"
)

func TestColumnsOfNoTerminal(t *testing.T) {
	if got := columns(new(bytes.Buffer)); got != 80 {
		t.Errorf("got %d", got)
	}
}

func TestDrawable(t *testing.T) {
	if drawable(new(bytes.Buffer)) {
		t.Error("a buffer is taken for a terminal")
	}
	t.Setenv("NO_COLOR", "1")
	if coloured() {
		t.Error("colours in spite of NO_COLOR")
	}
	t.Setenv("NO_COLOR", "")
	if !coloured() {
		t.Error("no colours, though NO_COLOR is empty")
	}
}
