package sidecar

// What each route requires, from the configuration: its form, what is wrong
// with it, and the guard that it becomes.

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/persauth/persauth"
	"go.yaml.in/yaml/v3"
)

// routeConfig is one entry of "routes".
type routeConfig struct {
	// Name is what logs and metrics call the route. Default: its path.
	Name string `yaml:"name"`
	// Methods that the rule is for; "*" for all that no other entry with the
	// same path names. GET is for HEAD, too.
	Methods []string `yaml:"methods"`
	// Path is a pattern of net/http.ServeMux, without method and host.
	Path       string `yaml:"path"`
	ruleConfig `yaml:",inline"`
}

// ruleConfig is what a route requires: all of it.
type ruleConfig struct {
	Public        bool     `yaml:"public"`        // anyone, also without a token
	Authenticated bool     `yaml:"authenticated"` // anyone with a token that is good
	AuthTypes     []string `yaml:"authTypes"`
	Tenant        value    `yaml:"tenant"`
	Business      value    `yaml:"business"`
	TenantRoles   []string `yaml:"tenantRoles"`
	BusinessRoles []string `yaml:"businessRoles"`
}

// value is a text, or {path: name} for a wildcard of the route's path.
type value struct {
	fixed, path string
}

func (v *value) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		v.fixed = node.Value
		return nil
	}
	if node.Kind == yaml.MappingNode && len(node.Content) == 2 && node.Content[0].Value == "path" && node.Content[1].Kind == yaml.ScalarNode {
		v.path = node.Content[1].Value
		return nil
	}
	return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: want a text, or {path: wildcard}", node.Line)}}
}

func (v value) empty() bool { return v == value{} }

func (v value) selector() persauth.Selector {
	if v.path != "" {
		return persauth.PathValue(v.path)
	}
	return persauth.Fixed(v.fixed)
}

// rule is what is required of the callers of a route. Its guard is nil for a
// public one.
type rule struct {
	public bool
	guard  persauth.Guard
	// key is equal for rules that require the same.
	key string
}

// rule checks what is required, and makes it. path is the route's pattern, or
// "" for the default.
func (c ruleConfig) rule(path string) (rule, error) {
	var wrong []error
	fail := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	var guards []persauth.Guard
	for _, v := range []value{c.Tenant, c.Business} {
		if v.path != "" && !slices.Contains(wildcards(path), v.path) {
			fail("path has no wildcard {%s}", v.path)
		}
	}
	for name, list := range map[string][]string{"authTypes": c.AuthTypes, "tenantRoles": c.TenantRoles, "businessRoles": c.BusinessRoles} {
		if slices.Contains(list, "") {
			fail("%s has an empty entry", name)
		}
	}
	if len(c.TenantRoles) > 0 && c.Tenant.empty() {
		fail("tenantRoles needs tenant: roles in which tenant?")
	}
	if len(c.BusinessRoles) > 0 && c.Business.empty() {
		fail("businessRoles needs business: roles in which business?")
	}
	if len(c.TenantRoles) > 0 && !c.Business.empty() {
		fail("tenantRoles and business exclude each other: who acts for a business has no roles in the tenant")
	}
	if len(wrong) > 0 {
		return rule{}, errors.Join(wrong...)
	}
	if len(c.AuthTypes) > 0 {
		types := make([]persauth.AuthType, len(c.AuthTypes))
		for i, t := range c.AuthTypes {
			types[i] = persauth.AuthType(t)
		}
		guards = append(guards, persauth.AuthTypeIn(types[0], types[1:]...))
	}
	if !c.Tenant.empty() {
		guards = append(guards, persauth.Tenant(c.Tenant.selector()))
	}
	if !c.Business.empty() {
		guards = append(guards, persauth.Business(c.Business.selector()))
	}
	if roles := c.TenantRoles; len(roles) > 0 {
		guards = append(guards, persauth.TenantRole(c.Tenant.selector(), roles[0], roles[1:]...))
	}
	if roles := c.BusinessRoles; len(roles) > 0 {
		guards = append(guards, persauth.BusinessRole(c.Business.selector(), roles[0], roles[1:]...))
	}
	made := rule{public: c.Public, key: c.key()}
	ways := 0
	for _, way := range []bool{c.Public, c.Authenticated, len(guards) > 0} {
		if way {
			ways++
		}
	}
	switch {
	case ways == 0:
		return rule{}, errors.New("requires nothing: say public: true, authenticated: true, or what is required")
	case ways > 1:
		return rule{}, errors.New("public, authenticated, and other requirements exclude each other")
	case len(guards) > 0:
		made.guard = persauth.AllOf(guards[0], guards[1:]...)
	}
	return made, nil
}

// key is equal for what requires the same. Order does not matter.
func (c ruleConfig) key() string {
	sorted := func(list []string) []string { return slices.Compact(slices.Sorted(slices.Values(list))) }
	return fmt.Sprintf("%t %t %q %q %q %q %q", c.Public, c.Authenticated, sorted(c.AuthTypes),
		[]string{c.Tenant.fixed, c.Tenant.path}, []string{c.Business.fixed, c.Business.path},
		sorted(c.TenantRoles), sorted(c.BusinessRoles))
}

// wildcards are the names of the wildcards in a pattern.
func wildcards(path string) (names []string) {
	for segment := range strings.SplitSeq(path, "/") {
		if name, ok := strings.CutPrefix(segment, "{"); ok && segment != "{$}" {
			names = append(names, strings.TrimSuffix(strings.TrimSuffix(name, "}"), "..."))
		}
	}
	return names
}
