package main

import (
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// eachYAMLKey calls fn for every key of a YAML document, sections included,
// in the order of the text.
func eachYAMLKey(text []byte, fn func(name string, key, value *yaml.Node)) {
	var document yaml.Node
	if yaml.Unmarshal(text, &document) != nil || len(document.Content) == 0 {
		return
	}
	walkYAML(document.Content[0], "", fn)
}

func walkYAML(node *yaml.Node, prefix string, fn func(name string, key, value *yaml.Node)) {
	if node.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		name := prefix + key.Value
		fn(name, key, value)
		walkYAML(value, name+".", fn)
	}
}

// settingsYAML writes the configuration as a file that could be read back,
// secrets aside. A comment names the origin of every value that is not a
// default.
func settingsYAML(l loaded) (string, error) {
	root := &yaml.Node{Kind: yaml.MappingNode}
	sections := map[string]*yaml.Node{"": root}
	for _, k := range allKeys() {
		parent := yamlSection(sections, k.section())
		label := &yaml.Node{Kind: yaml.ScalarNode, Value: k.name[strings.LastIndexByte(k.name, '.')+1:]}
		value := yamlOf(k.name, k.get(&l.settings))
		if value.Kind == yaml.SequenceNode && value.Style != yaml.FlowStyle {
			label.LineComment = l.origins[k.name]
		} else {
			value.LineComment = l.origins[k.name]
		}
		parent.Content = append(parent.Content, label, value)
	}
	var text strings.Builder
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	err := encoder.Encode(root)
	return text.String(), err
}

// yamlSection finds or makes the mapping of a section.
func yamlSection(sections map[string]*yaml.Node, name string) *yaml.Node {
	if node, ok := sections[name]; ok {
		return node
	}
	dot := max(strings.LastIndexByte(name, '.'), 0)
	parent := yamlSection(sections, name[:dot])
	node := &yaml.Node{Kind: yaml.MappingNode}
	label := &yaml.Node{Kind: yaml.ScalarNode, Value: strings.TrimPrefix(name[dot:], ".")}
	parent.Content = append(parent.Content, label, node)
	sections[name] = node
	return node
}

// yamlOf writes a value.
func yamlOf(name string, v reflect.Value) *yaml.Node {
	if isTable(v.Type()) {
		return yamlTable(v)
	}
	switch k := kindOf(name, v.Type()); k.name {
	case textKind.name:
		return yamlText(maskValue(name, v.String()))
	case listKind.name:
		node := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for i := range v.Len() {
			node.Content = append(node.Content, yamlText(maskValue(name, v.Index(i).String())))
		}
		return node
	default:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: maskValue(name, k.format(v))}
	}
}

// yamlTable writes a list of structs, one below the other.
func yamlTable(v reflect.Value) *yaml.Node {
	node := &yaml.Node{Kind: yaml.SequenceNode}
	if v.Len() == 0 {
		node.Style = yaml.FlowStyle
	}
	for i := range v.Len() {
		node.Content = append(node.Content, yamlItem(v.Index(i)))
	}
	return node
}

// yamlItem writes one struct of a list.
func yamlItem(v reflect.Value) *yaml.Node {
	node := &yaml.Node{Kind: yaml.MappingNode}
	for _, f := range itemFields(v.Type()) {
		node.Content = append(node.Content,
			&yaml.Node{Kind: yaml.ScalarNode, Value: f.name}, yamlOf(f.name, v.FieldByIndex(f.index)))
	}
	return node
}

// yamlText quotes what YAML would take for something else than text.
func yamlText(s string) *yaml.Node {
	var node yaml.Node
	node.SetString(s)
	return &node
}
