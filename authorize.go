package persauth

// From who the caller is to what the caller may do. Each requirement names what
// it is about, and an empty one is refused: a missing setting never opens a door.

import (
	"slices"
	"strings"

	"github.com/persauth/persauth/internal/redact"
	"github.com/persauth/persauth/internal/strictjson"
)

// RequireTenant returns nil when the token belongs to tenant, and an error that
// is [ErrForbidden] otherwise, also when tenant is empty.
func (c *Claims) RequireTenant(tenant string) error {
	if err := c.mustName("tenant", tenant); err != nil {
		return err
	}
	if c.TenantID() != tenant {
		return forbidden("tenant", redact.Quote(tenant), redact.Quote(c.TenantID()))
	}
	return nil
}

// RequireBusiness returns nil when the caller acts for business, and an error
// that is [ErrForbidden] otherwise, also when business is empty.
func (c *Claims) RequireBusiness(business string) error {
	if err := c.mustName("business", business); err != nil {
		return err
	}
	if c.BusinessID() != business {
		return forbidden("business", redact.Quote(business), orNone(c.BusinessID()))
	}
	return nil
}

// RequireAuthType returns nil when the caller is of one of the given types, and
// an error that is [ErrForbidden] otherwise, also when none is given.
func (c *Claims) RequireAuthType(types ...AuthType) error {
	names := namesOf(types)
	if err := c.mustName("auth type", names...); err != nil {
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
	if t := c.AuthType(); t == AuthUser || t == AuthExternal {
		// A session that says that it is not a business's has no role there.
		return forbidden("business role", `a session of the business: authType "business"`, "authType "+redact.Quote(string(t)))
	}
	return c.requireRole("role in business ", business, roles)
}

// TenantEvidence says what makes a token the tenant's own: that of an admin of
// the tenant and not of somebody who acts for one of its businesses, say. The zero
// value stands for the "authType" "tenant" alone.
//
// A role counts as the tenant's only where there is such evidence: roles are open
// strings, so a business may well call one "TENANT_ADMIN".
type TenantEvidence struct {
	// AuthTypes are values of "authType" that count beside "tenant", such as
	// [AuthSystem]. They are compared exactly.
	AuthTypes []AuthType
	// TokenKinds are values of the claim that [ClaimNames.Kind] names which count
	// as well, such as "TENANT_ADMIN_JWT".
	TokenKinds []string
}

// tenantSession reports whether claims are those of a token of the tenant itself.
// What is missing, unknown or spelled otherwise is no evidence.
func (e *claimPolicy) tenantSession(c *parsedClaims) bool {
	if len(c.get(fieldBusiness)) > 0 {
		return false
	}
	authType, kind := c.get(fieldAuthType), c.get(fieldKind)
	switch AuthType(authType) {
	case AuthBusiness, AuthUser, AuthExternal:
		return false // whatever its kind says
	}
	return slices.Contains(e.evidence.AuthTypes, AuthType(authType)) || slices.Contains(e.evidence.TokenKinds, string(kind))
}

// RequireTenantRole returns nil when the caller has one of roles in tenant
// itself. Otherwise it returns an error that is [ErrForbidden], also when
// tenant, roles, or one of roles is empty.
//
// A role counts only in a token that is the tenant's own by positive evidence: see
// [Config.TenantEvidence]. Where that is missing the error says what the token has,
// and which setting decides.
func (c *Claims) RequireTenantRole(tenant string, roles ...string) error {
	if err := c.RequireTenant(tenant); err != nil {
		return err
	}
	if !c.flags.has(flagTenantSession) {
		return forbidden("tenant role", wantTenantSession, gotTenantEvidence(c))
	}
	return c.requireRole("role in tenant ", tenant, roles)
}

const wantTenantSession = `a token of the tenant itself: authType "tenant", or what Config.TenantEvidence names, and no business`

// gotTenantEvidence says what a token has of what counts as evidence.
func gotTenantEvidence[T string | []byte](c interface{ get(claimField) T }) string {
	got := "authType " + orNone(string(c.get(fieldAuthType))) + ", token kind " + orNone(string(c.get(fieldKind)))
	if business := c.get(fieldBusiness); len(business) > 0 {
		got += ", business " + redact.Quote(string(business))
	}
	return got
}

func (c *Claims) requireRole(where, name string, roles []string) error {
	if err := c.mustName("role", roles...); err != nil {
		return err
	}
	for role := range strictjson.List(c.get(fieldRole)) {
		if slices.Contains(roles, role) {
			return nil
		}
	}
	return forbidden(where+redact.Quote(name), oneOf(roles), orNone(strictjson.ListText(c.get(fieldRole))))
}

// mustName refuses a requirement that would require nothing, and nil claims.
func (c *Claims) mustName(check string, values ...string) error {
	if c == nil {
		return forbidden(check, "a verified token", "none")
	}
	if len(values) == 0 || slices.Contains(values, "") {
		return forbidden(check, "a non-empty "+check, textOr(len(values) == 0, "none", `""`)+" (check the service's configuration)")
	}
	return nil
}

func forbidden(check, want, got string) *Error {
	return &Error{Check: check, Want: want, Got: got, Err: ErrForbidden}
}

func oneOf(values []string) string {
	if len(values) == 1 {
		return redact.Quote(values[0])
	}
	return "one of " + redact.Quote(strings.Join(values, ", "))
}

// textOr returns one of two texts.
func textOr(first bool, one, other string) string {
	if first {
		return one
	}
	return other
}

func orNone(value string) string {
	if value == "" {
		return "none"
	}
	return redact.Quote(value)
}
