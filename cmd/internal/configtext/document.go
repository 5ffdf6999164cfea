// Package configtext reads configuration as people write it, the same way in a
// file, a variable and a flag: every value is the text that stands there, a list
// of values, or nothing. YAML's guesses don't come into it, which make 432 of
// 0660 and false of off.
package configtext

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"
)

// Document is a YAML document taken apart.
type Document struct {
	// Values are the values by their keys, with a dot between a section and the
	// keys in it. A value is a string, a []any of values, a map[string]any inside
	// of a list or as an empty section, or nil.
	Values map[string]any
	// Lines are where the keys and sections stand, from 1.
	Lines map[string]int
	// Comments are those above the keys and sections.
	Comments map[string]string
}

// Parse reads a file with one document. It refuses parts that YAML would pass over
// in silence: a second document, a key that is given again, a tag.
func Parse(text []byte) (Document, error) {
	d := Document{Values: map[string]any{}, Lines: map[string]int{}, Comments: map[string]string{}}
	root, err := onlyDocument(text)
	if err != nil || root == nil {
		return d, err
	}
	if root.Kind != yaml.MappingNode {
		return d, fmt.Errorf("line %d: want keys with their values", root.Line)
	}
	return d, (&reader{document: d}).section("", root, 0)
}

// ParseValue reads a single value in one line of YAML, of which JSON is a part.
func ParseValue(text string) (any, error) {
	root, err := onlyDocument([]byte(text))
	if err != nil || root == nil {
		return nil, err
	}
	return (&reader{}).value(root, 0)
}

// onlyDocument returns the document's first node, nil where nothing stands in it.
func onlyDocument(text []byte) (root *yaml.Node, err error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var document yaml.Node
		switch err := decoder.Decode(&document); {
		case errors.Is(err, io.EOF):
			return root, nil
		case err != nil:
			return nil, err
		}
		if len(document.Content) == 0 || document.Content[0].ShortTag() == nullTag {
			continue
		}
		switch next := document.Content[0]; {
		case root != nil:
			return nil, fmt.Errorf("line %d: a second document, behind ---, would be passed over; want one", next.Line)
		default:
			root = next
		}
	}
}

const (
	nullTag  = "!!null"
	mergeTag = "!!merge"
	// maxDepth is deeper than any configuration, and ends one that holds itself.
	maxDepth = 32
	// maxNodes is more than any has, and ends aliases of aliases of aliases.
	maxNodes = 100_000
)

// reader takes one document apart.
type reader struct {
	document Document
	nodes    int // that were looked at
}

// section takes over the keys of a mapping.
func (r *reader) section(prefix string, node *yaml.Node, depth int) error {
	return r.eachKey(node, depth, func(key, inner *yaml.Node) error {
		name := prefix + key.Value
		if first, again := r.document.Lines[name]; again {
			return fmt.Errorf("line %d: %s is given again, first on line %d", key.Line, name, first)
		}
		r.document.Lines[name], r.document.Comments[name] = key.Line, key.HeadComment
		if inner.Kind == yaml.MappingNode && len(inner.Content) > 0 {
			return r.section(name+".", inner, depth+1)
		}
		v, err := r.value(inner, depth+1)
		r.document.Values[name] = v
		return err
	})
}

// value returns the value of a node.
func (r *reader) value(node *yaml.Node, depth int) (any, error) {
	node, err := r.resolved(node, depth)
	if err != nil {
		return nil, err
	}
	switch {
	case node.ShortTag() == nullTag:
		return nil, nil
	case node.Kind == yaml.SequenceNode:
		list := make([]any, len(node.Content))
		for i, item := range node.Content {
			if list[i], err = r.value(item, depth+1); err != nil {
				return nil, err
			}
		}
		return list, nil
	case node.Kind == yaml.MappingNode:
		mapping := map[string]any{}
		err := r.eachKey(node, depth, func(key, inner *yaml.Node) (err error) {
			if _, again := mapping[key.Value]; again {
				return fmt.Errorf("line %d: %s is given again", key.Line, key.Value)
			}
			mapping[key.Value], err = r.value(inner, depth+1)
			return err
		})
		return mapping, err
	}
	return node.Value, nil
}

// eachKey calls fn for every key of a mapping with its resolved value, those that
// are merged in (<<) last, unless the mapping has them itself.
func (r *reader) eachKey(node *yaml.Node, depth int, fn func(key, value *yaml.Node) error) error {
	own := map[string]bool{}
	var merged []*yaml.Node
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, inner := node.Content[i], node.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			return fmt.Errorf("line %d: want a name for a key", key.Line)
		}
		inner, err := r.resolved(inner, depth)
		switch {
		case err != nil:
			return err
		case key.ShortTag() == mergeTag && inner.Kind == yaml.SequenceNode:
			merged = append(merged, inner.Content...)
			continue
		case key.ShortTag() == mergeTag:
			merged = append(merged, inner)
			continue
		}
		own[key.Value] = true
		if err := fn(key, inner); err != nil {
			return err
		}
	}
	for _, from := range merged {
		from, err := r.resolved(from, depth)
		if err != nil {
			return err
		}
		if from.Kind != yaml.MappingNode {
			return fmt.Errorf("line %d: want keys with their values to merge", from.Line)
		}
		err = r.eachKey(from, depth+1, func(key, inner *yaml.Node) error {
			if own[key.Value] {
				return nil
			}
			own[key.Value] = true
			return fn(key, inner)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// resolved follows an alias, and refuses tags, which have no meaning here.
func (r *reader) resolved(node *yaml.Node, depth int) (*yaml.Node, error) {
	if r.nodes++; r.nodes > maxNodes {
		return nil, fmt.Errorf("more than %d values", maxNodes)
	}
	if depth > maxDepth {
		return nil, fmt.Errorf("line %d: deeper than %d levels", node.Line, maxDepth)
	}
	for node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if node.Style&yaml.TaggedStyle != 0 && node.ShortTag() != "!!str" {
		return nil, fmt.Errorf("line %d: the tag %s has no meaning here", node.Line, node.Tag)
	}
	return node, nil
}
