package sidecar

// What each route requires, from the configuration: its form, what is wrong
// with it, and the guard that it becomes.

import (
	"cmp"
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

// in says how to read the value from a path that fits a pattern.
func (v value) in(pattern string) selector {
	for i, part := range split(nil, cmp.Or(pattern, "/")) {
		if name, ok := wildcardName(part); ok && name == v.path {
			return selector{index: i, all: strings.HasSuffix(part, "...}")}
		}
	}
	return selector{fixed: v.fixed, index: -1}
}

// selector is a text, or part of a path.
type selector struct {
	fixed string
	index int
	all   bool // from there on
}

func (s selector) of(l *lookup) string {
	if s.fixed != "" {
		return s.fixed
	}
	return l.part(s.index, s.all)
}

// requirement is nil for callers who may go on, and else persauth.ErrForbidden.
type requirement func(*persauth.Claims, *lookup) error

// rule is what is required of the callers of a route.
type rule struct {
	public       bool
	requirements []requirement
	// key is equal for rules that require the same.
	key string
}

// check is nil for callers whose token is good and who may go on.
func (r *rule) check(c *persauth.Claims, l *lookup) error {
	for _, require := range r.requirements {
		if err := require(c, l); err != nil {
			return err
		}
	}
	return nil
}

// rule checks what is required, and makes it. at is where it stands in the file,
// path the route's pattern, or "" for the default, and more are auth types that
// the configuration names beside those of PERS.
func (c ruleConfig) rule(f *faults, at, path string, more []string) rule {
	for name, v := range map[string]value{"tenant": c.Tenant, "business": c.Business} {
		if v.path != "" && !slices.Contains(wildcards(path), v.path) {
			f.add(at+"."+name, "%s: path has no wildcard {%s}%s", name, v.path, didYouMean(v.path, wildcards(path)))
		}
	}
	for i, name := range c.AuthTypes {
		f.word(fmt.Sprintf("%s.authTypes[%d]", at, i), "auth type", name, slices.Concat(authTypes, more)...)
	}
	if len(c.TenantRoles) > 0 && c.Tenant.empty() {
		f.add(at+".tenantRoles", "tenantRoles needs tenant: roles in which tenant?")
	}
	if len(c.BusinessRoles) > 0 && c.Business.empty() {
		f.add(at+".businessRoles", "businessRoles needs business: roles in which business?")
	}
	if len(c.TenantRoles) > 0 && !c.Business.empty() {
		f.add(at+".tenantRoles", "tenantRoles and business exclude each other: who acts for a business has no roles in the tenant")
	}
	ways := 0
	for _, way := range []bool{c.Public, c.Authenticated, c.requiresMore()} {
		if way {
			ways++
		}
	}
	switch {
	case ways == 0:
		f.add(at, "requires nothing: say public: true, authenticated: true, or what is required")
	case ways > 1:
		f.add(at, "public, authenticated, and other requirements exclude each other")
	}
	made := rule{public: c.Public, key: c.key()}
	if len(f.all) == 0 {
		made.requirements = c.requirements(path)
	}
	return made
}

// requiresMore reports whether not every good token will do.
func (c ruleConfig) requiresMore() bool {
	return len(c.AuthTypes)+len(c.TenantRoles)+len(c.BusinessRoles) > 0 || !c.Tenant.empty() || !c.Business.empty()
}

// requirements are what is required, one by one.
func (c ruleConfig) requirements(path string) (all []requirement) {
	if len(c.AuthTypes) > 0 {
		types := typesOf(c.AuthTypes)
		all = append(all, func(c *persauth.Claims, _ *lookup) error { return c.RequireAuthType(types...) })
	}
	if !c.Tenant.empty() {
		tenant, roles := c.Tenant.in(path), c.TenantRoles
		all = append(all, func(c *persauth.Claims, l *lookup) error {
			if len(roles) == 0 {
				return c.RequireTenant(tenant.of(l))
			}
			return c.RequireTenantRole(tenant.of(l), roles...)
		})
	}
	if !c.Business.empty() {
		business, roles := c.Business.in(path), c.BusinessRoles
		all = append(all, func(c *persauth.Claims, l *lookup) error {
			if len(roles) == 0 {
				return c.RequireBusiness(business.of(l))
			}
			return c.RequireBusinessRole(business.of(l), roles...)
		})
	}
	return all
}

// authTypes are those that PERS documents.
var authTypes = []string{
	string(persauth.AuthUser), string(persauth.AuthBusiness), string(persauth.AuthTenant),
	string(persauth.AuthSystem), string(persauth.AuthExternal),
}

// tokenKinds are those that PERS documents, but for refresh tokens.
var tokenKinds = []string{
	"TENANT_SYSTEM_JWT", "TENANT_ADMIN_JWT", "ADMIN_JWT_ACCESS_TOKEN", "USER_JWT_ACCESS_TOKEN", "BLOCKCHAIN_READER_JWT", "BLOCKCHAIN_WRITER_JWT",
}

// methods are those of IANA's registry (RFC 9110 §16.1), and PURGE of caches.
// CONNECT is for proxies.
var methods = strings.Fields(`* GET POST
	ACL BASELINE-CONTROL BIND CHECKIN CHECKOUT COPY DELETE HEAD LABEL LINK LOCK MERGE MKACTIVITY MKCALENDAR MKCOL
	MKREDIRECTREF MKWORKSPACE MOVE OPTIONS ORDERPATCH PATCH PRI PROPFIND PROPPATCH PURGE PUT QUERY REBIND REPORT SEARCH
	TRACE UNBIND UNCHECKOUT UNLINK UNLOCK UPDATE UPDATEREDIRECTREF VERSION-CONTROL`)

// key is equal for what requires the same. Order does not matter.
func (c ruleConfig) key() string {
	sorted := func(list []string) []string { return slices.Compact(slices.Sorted(slices.Values(list))) }
	return fmt.Sprintf("%t %t %q %q %q %q %q", c.Public, c.Authenticated, sorted(c.AuthTypes),
		[]string{c.Tenant.fixed, c.Tenant.path}, []string{c.Business.fixed, c.Business.path},
		sorted(c.TenantRoles), sorted(c.BusinessRoles))
}

// wildcards are the names of the wildcards in a pattern.
func wildcards(path string) (names []string) {
	for part := range strings.SplitSeq(path, "/") {
		if name, ok := wildcardName(part); ok {
			names = append(names, name)
		}
	}
	return names
}

func wildcardName(part string) (string, bool) {
	name, ok := strings.CutPrefix(part, "{")
	return strings.TrimSuffix(strings.TrimSuffix(name, "}"), "..."), ok && part != "{$}"
}
