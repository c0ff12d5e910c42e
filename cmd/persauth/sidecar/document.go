package sidecar

// The configuration as a text: where everything in it stands, and what is wrong
// with its form. Nothing in it is ever taken for "not set" that somebody wrote
// down: a variable that was empty, or not replaced, when the file was made would
// waive what it stands for.

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// decode reads a configuration, and reports all that is wrong with its form.
func decode(body []byte, into *config) *faults {
	f := &faults{lines: make(map[string]int)}
	var tree yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(body))
	switch err := decoder.Decode(&tree); {
	case errors.Is(err, io.EOF):
		f.onLine(0, "the configuration is empty")
		return f
	case err != nil:
		f.yaml(err)
		return f
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		f.onLine(0, "the configuration has more than one document")
	}
	f.walk(tree.Content[0], reflect.TypeFor[config](), "", "the configuration")
	if err := tree.Decode(into); err != nil {
		f.yaml(err)
	}
	return f
}

var (
	yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?(.*)$`)
	// The names of our types say nothing to those who write the file.
	ourType = regexp.MustCompile(` into sidecar\.\w+$`)
)

// yaml reports what the decoder found.
func (f *faults) yaml(err error) {
	texts := []string{err.Error()}
	var types *yaml.TypeError
	if errors.As(err, &types) {
		texts = types.Errors
	}
	for _, text := range texts {
		parts := yamlLine.FindStringSubmatch(strings.ReplaceAll(text, "\n", " "))
		line, _ := strconv.Atoi(parts[1])
		f.onLine(line, "%s", ourType.ReplaceAllString(parts[2], " as what belongs here"))
	}
}

// unreplaced is how templates write a variable: what is left where none replaced it.
var unreplaced = regexp.MustCompile(`\$\{|\$\(|\{\{|^\$\w+$|^%\w+%$|^<[^<>]+>$`)

// walk notes the lines of a value and all that is in it, and reports what is
// written down and says nothing, and fields that there are none of. name is what
// messages call the value.
func (f *faults) walk(node *yaml.Node, kind reflect.Type, path, name string) {
	if path != "" && f.lines[path] == 0 {
		f.lines[path] = node.Line
	}
	switch {
	case node.Kind == yaml.AliasNode || node.Anchor != "":
		// With them one rule could change another.
		f.onLine(node.Line, "%s: anchors and aliases are not taken", printable(name))
	case node.Kind == yaml.ScalarNode && (node.Tag == "!!null" || node.Value == ""),
		node.Kind != yaml.ScalarNode && len(node.Content) == 0:
		f.onLine(node.Line, "%s is empty: a variable that is not set, perhaps", printable(name))
	case node.Kind == yaml.ScalarNode && unreplaced.MatchString(node.Value):
		f.onLine(node.Line, "%s is %s: a variable that was not replaced", printable(name), printable(node.Value))
	case node.Kind == yaml.SequenceNode:
		for i, child := range node.Content {
			f.walk(child, elementOf(kind), fmt.Sprintf("%s[%d]", path, i), name)
		}
	case node.Kind == yaml.MappingNode:
		f.walkFields(node, kind, path)
	}
}

func (f *faults) walkFields(node *yaml.Node, kind reflect.Type, path string) {
	fields := fieldsOf(kind)
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		field, known := fields[key.Value]
		if fields != nil && !known {
			names := slices.Sorted(maps.Keys(fields))
			f.onLine(key.Line, "there is no field %s here%s", printable(key.Value), didYouMean(key.Value, names))
			continue
		}
		at := strings.TrimPrefix(path+"."+key.Value, ".")
		f.lines[at] = key.Line
		f.walk(value, field, at, key.Value)
	}
}

// fieldsOf are the fields of a mapping by their names in the file; nil for what is
// not a mapping of ours.
func fieldsOf(kind reflect.Type) map[string]reflect.Type {
	switch {
	case kind == reflect.TypeFor[defaultConfig]():
		kind = reflect.TypeFor[ruleConfig]()
	case kind == nil || kind.Kind() != reflect.Struct || kind == reflect.TypeFor[value]():
		return nil
	}
	fields := make(map[string]reflect.Type)
	for field := range kind.Fields() {
		name, option, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		if option == "inline" {
			for name, inner := range fieldsOf(field.Type) {
				fields[name] = inner
			}
			continue
		}
		fields[name] = field.Type
	}
	return fields
}

func elementOf(kind reflect.Type) reflect.Type {
	if kind != nil && kind.Kind() == reflect.Slice {
		return kind.Elem()
	}
	return nil
}
