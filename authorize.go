package persauth

// From who the caller is to what the caller may do. Each requirement names what
// it is about, and an empty one is refused: a missing setting never opens a door.

import (
	"slices"
	"strings"
)

// RequireTenant returns nil when the token belongs to tenant, and an error that
// is [ErrForbidden] otherwise, also when tenant is empty.
func (c *Claims) RequireTenant(tenant string) error {
	if err := c.required("tenant", tenant); err != nil {
		return err
	}
	if c.TenantID() != tenant {
		return forbidden("tenant", quoted(tenant), quoted(c.TenantID()))
	}
	return nil
}

// RequireBusiness returns nil when the caller acts for business, and an error
// that is [ErrForbidden] otherwise, also when business is empty.
func (c *Claims) RequireBusiness(business string) error {
	if err := c.required("business", business); err != nil {
		return err
	}
	if c.BusinessID() != business {
		return forbidden("business", quoted(business), orNone(c.BusinessID()))
	}
	return nil
}

// RequireAuthType returns nil when the caller is of one of the given types, and
// an error that is [ErrForbidden] otherwise, also when none is given.
func (c *Claims) RequireAuthType(types ...AuthType) error {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = string(t)
	}
	if err := c.required("auth type", names...); err != nil {
		return err
	}
	if !slices.Contains(types, c.AuthType()) {
		return forbidden("auth type", oneOf(names), orNone(string(c.AuthType())))
	}
	return nil
}

// RequireBusinessRole returns nil when the caller acts for business and has one
// of roles there. Otherwise it returns an error that is [ErrForbidden], also
// when business, roles, or one of roles is empty.
func (c *Claims) RequireBusinessRole(business string, roles ...string) error {
	if err := c.RequireBusiness(business); err != nil {
		return err
	}
	return c.requireRole("role in business ", business, roles)
}

// RequireTenantRole returns nil when the caller has one of roles in tenant
// itself. Otherwise it returns an error that is [ErrForbidden], also when
// tenant, roles, or one of roles is empty.
//
// A role held in a business of the tenant is not a role in the tenant: roles
// are open strings, so a business may well call one "ADMIN", or even
// "TENANT_ADMIN".
func (c *Claims) RequireTenantRole(tenant string, roles ...string) error {
	if err := c.RequireTenant(tenant); err != nil {
		return err
	}
	if c.BusinessID() != "" || c.AuthType() == AuthBusiness {
		return forbidden("tenant role", "a session of the tenant itself", "one of a business")
	}
	return c.requireRole("role in tenant ", tenant, roles)
}

func (c *Claims) requireRole(where, name string, roles []string) error {
	if err := c.required("role", roles...); err != nil {
		return err
	}
	for role := range elements(c.get(fieldRole)) {
		if slices.Contains(roles, role) {
			return nil
		}
	}
	return forbidden(where+quoted(name), oneOf(roles), orNone(joined(c.get(fieldRole))))
}

// required refuses a requirement that would require nothing, and claims that
// are not there because somebody dropped the error that came with them.
func (c *Claims) required(check string, values ...string) error {
	if c == nil {
		return forbidden(check, "a verified token", "none")
	}
	if len(values) == 0 || slices.Contains(values, "") {
		return forbidden(check, "a requirement that is not empty", "an empty one: the service is set up wrongly")
	}
	return nil
}

func forbidden(check, want, got string) error {
	return &Error{Check: check, Want: want, Got: got, Err: ErrForbidden}
}

func oneOf(values []string) string {
	if len(values) == 1 {
		return quoted(values[0])
	}
	return "one of " + quoted(strings.Join(values, ", "))
}

func orNone(value string) string {
	if value == "" {
		return "none"
	}
	return quoted(value)
}
