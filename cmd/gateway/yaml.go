package main

import (
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// settingsYAML writes the configuration as a file that could be read back,
// secrets aside. A comment names the origin of every value that is not a
// default.
func settingsYAML(l loaded) (string, error) {
	sections := map[string]*yaml.Node{"": {Kind: yaml.MappingNode}}
	for _, k := range allKeys() {
		section, name := k.section()
		label, value := yamlScalar(name), yamlOf(k, k.get(&l.settings))
		if value.Kind == yaml.SequenceNode && value.Style != yaml.FlowStyle {
			label.LineComment = l.origins[k.name]
		} else {
			value.LineComment = l.origins[k.name]
		}
		parent := yamlSection(sections, section)
		parent.Content = append(parent.Content, label, value)
	}
	var text strings.Builder
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	err := encoder.Encode(sections[""])
	return text.String(), err
}

// yamlSection finds or makes the mapping of a section.
func yamlSection(sections map[string]*yaml.Node, name string) *yaml.Node {
	node, ok := sections[name]
	if !ok {
		outer, label := key{name: name}.section()
		parent := yamlSection(sections, outer)
		node = &yaml.Node{Kind: yaml.MappingNode}
		parent.Content = append(parent.Content, yamlScalar(label), node)
		sections[name] = node
	}
	return node
}

// yamlOf writes a value, with secrets masked.
func yamlOf(k key, v reflect.Value) *yaml.Node {
	switch k.kind {
	case textKind:
		return yamlText(maskValue(k.name, v.String()))
	case listKind:
		node := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for i := range v.Len() {
			node.Content = append(node.Content, yamlText(maskValue(k.name, v.Index(i).String())))
		}
		return node
	case recordsKind:
		return yamlRecords(v)
	}
	return yamlScalar(k.kind.text(v))
}

// yamlRecords writes a list of structs, one below the other.
func yamlRecords(v reflect.Value) *yaml.Node {
	node := &yaml.Node{Kind: yaml.SequenceNode}
	if v.Len() == 0 {
		node.Style = yaml.FlowStyle
	}
	for i := range v.Len() {
		item := &yaml.Node{Kind: yaml.MappingNode}
		for _, f := range itemKeys(v.Type().Elem()) {
			item.Content = append(item.Content, yamlScalar(f.name), yamlOf(f, v.Index(i).FieldByIndex(f.index)))
		}
		node.Content = append(node.Content, item)
	}
	return node
}

// flow has a node and all in it written in one line.
func flow(node *yaml.Node) *yaml.Node {
	node.Style |= yaml.FlowStyle
	for _, inner := range node.Content {
		if inner.Kind != yaml.ScalarNode {
			flow(inner)
		}
	}
	return node
}

func yamlScalar(text string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: text} }

// yamlText quotes text that YAML would take for something else.
func yamlText(s string) *yaml.Node {
	var node yaml.Node
	node.SetString(s)
	return &node
}
