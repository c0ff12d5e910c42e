package persauthclient

// The options of MULTIPLE_CONTEXT_SELECTION_REQUIRED, found wherever they are: in
// which form PERS gives them is not documented.

import (
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
)

const (
	// maxOptions bounds a list of options, maxText each text in it, and maxDepth
	// where it is looked for.
	maxOptions = 1000
	maxText    = 200
	maxDepth   = 8

	selectionCode = "MULTIPLE_CONTEXT_SELECTION_REQUIRED"
)

// selection reports whether an answer asks to choose, and returns the options.
func selection(body []byte) (options []Option, found bool) {
	var said any
	if !strings.Contains(string(body), selectionCode) || json.Unmarshal(body, &said) != nil {
		return nil, false
	}
	return findOptions(said, maxDepth), hasText(said, selectionCode, maxDepth)
}

// hasText reports whether one of the texts of a JSON value holds another.
func hasText(value any, text string, depth int) bool {
	if depth == 0 {
		return false
	}
	switch value := value.(type) {
	case string:
		return strings.Contains(value, text)
	case []any:
		for _, one := range value {
			if hasText(one, text, depth-1) {
				return true
			}
		}
	case map[string]any:
		for _, one := range value {
			if hasText(one, text, depth-1) {
				return true
			}
		}
	}
	return false
}

// findOptions returns the first list in a JSON value that holds options.
func findOptions(value any, depth int) []Option {
	if depth == 0 {
		return nil
	}
	switch value := value.(type) {
	case []any:
		var options []Option
		for _, one := range value {
			if option, ok := readOption(one); ok && len(options) < maxOptions {
				options = append(options, option)
			}
		}
		if options != nil {
			return options
		}
		for _, one := range value {
			if options := findOptions(one, depth-1); options != nil {
				return options
			}
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(value)) {
			if options := findOptions(value[name], depth-1); options != nil {
				return options
			}
		}
	}
	return nil
}

// readOption reads what looks like a business or tenant. Names of members are
// compared without case and punctuation.
func readOption(value any) (Option, bool) {
	object, ok := value.(map[string]any)
	if !ok {
		return Option{}, false
	}
	texts := make(map[string]string)
	for _, holder := range []any{object["context"], object["business"], object["tenant"], object} {
		members, _ := holder.(map[string]any)
		for name, value := range members {
			if text, ok := value.(string); ok && len(text) <= maxText {
				texts[memberName(name)] = text
			}
		}
	}
	first := func(names ...string) string {
		for _, name := range names {
			if texts[name] != "" {
				return texts[name]
			}
		}
		return ""
	}
	option := Option{Business: first("businessid"), Tenant: first("tenantid"), Role: first("role", "businessrole"),
		Name: first("name", "displayname", "businessname", "title", "tenantname")}
	if option.Business == "" && option.Tenant == "" {
		option.Business = first("id") // of whatever there is to choose from
	}
	return option, option.Business != "" || option.Tenant != ""
}

func memberName(name string) string {
	return strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(name))
}
