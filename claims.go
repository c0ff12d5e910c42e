package persauth

// What a verified token says. How claims are read from JSON is in decode.go,
// what they allow in authorize.go.

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
)

// AuthType says what kind of caller a token was issued to: the "authType"
// claim. Values other than the constants are passed on as they come.
type AuthType string

// The auth types that the PERS API names.
const (
	AuthUser     AuthType = "user"     // an end user
	AuthBusiness AuthType = "business" // a user who acts for a business
	AuthTenant   AuthType = "tenant"   // an admin of the tenant
	AuthSystem   AuthType = "system"   // a program, with a long-lived token
	AuthExternal AuthType = "external" // someone from outside the platform
)

// Claims are the claims of a verified token. Only a [Verifier] makes them, so
// whoever holds a *Claims holds the proof that the token was checked.
//
// Claims are immutable, safe for concurrent use, and shared: every request with
// the same token may get the same *Claims. They do not hold the token.
type Claims struct {
	subject, tenantID, businessID string
	email, issuer, id             string
	confirmation                  string
	authType                      AuthType
	roles, audience               []string

	expiresAt, notBefore, issuedAt instant // absent: noInstant

	payload      string // the claims as JSON
	verification Verification
}

// Verification says how a token was verified.
type Verification struct {
	// Method says who checked the signature.
	Method VerificationMethod `json:"method"`
	// KeyID is the "kid" of the key that verified the token; it is empty for a
	// key without one.
	KeyID string `json:"keyId"`
	// Algorithm is the token's "alg", for example "RS256".
	Algorithm string `json:"algorithm"`
	// KeysStale is true when the keys were past their soft age: PERS should
	// have been asked for newer ones and had not answered yet.
	KeysStale bool `json:"keysStale"`
	// CheckedAt is when PERS last said that the token is good, or the zero
	// time: it was not asked.
	CheckedAt time.Time `json:"checkedAt,omitzero"`
	// InGrace is true when that is longer ago than it should be, PERS does
	// not answer, and the token passes by [RevocationPolicy.WithGrace].
	InGrace bool `json:"inGrace,omitzero"`
}

// VerificationMethod says who checked a signature.
type VerificationMethod string

// The methods of verification.
const (
	// VerifiedLocally: this process did, with a key of the key set.
	VerifiedLocally VerificationMethod = "local"
	// VerifiedRemotely: PERS did, because the key is not at hand.
	VerifiedRemotely VerificationMethod = "remote"
)

// Subject returns "sub" (RFC 7519 §4.1.2): the caller's id. It may be empty.
func (c *Claims) Subject() string { return c.subject }

// TenantID returns the tenant that the token belongs to. It is never empty.
func (c *Claims) TenantID() string { return c.tenantID }

// BusinessID returns the business that the caller acts for, or "".
func (c *Claims) BusinessID() string { return c.businessID }

// Roles returns a copy of the caller's roles. What a role is worth depends on
// where it is held: to decide by one, use [Claims.RequireBusinessRole] or
// [Claims.RequireTenantRole].
func (c *Claims) Roles() []string { return slices.Clone(c.roles) }

// AuthType returns what kind of caller this is, or "" when the token does not
// say.
func (c *Claims) AuthType() AuthType { return c.authType }

// Email returns "email", or "". It is personal data: do not log it.
func (c *Claims) Email() string { return c.email }

// Issuer returns "iss" (RFC 7519 §4.1.1), or "".
func (c *Claims) Issuer() string { return c.issuer }

// Audience returns a copy of "aud" (RFC 7519 §4.1.3), or nil.
func (c *Claims) Audience() []string { return slices.Clone(c.audience) }

// ID returns "jti" (RFC 7519 §4.1.7): the token's id, or "".
func (c *Claims) ID() string { return c.id }

// ExpiresAt returns "exp" (RFC 7519 §4.1.4) in UTC. It is never zero.
func (c *Claims) ExpiresAt() time.Time { return c.expiresAt.orZero() }

// NotBefore returns "nbf" (RFC 7519 §4.1.5) in UTC, or the zero time.
func (c *Claims) NotBefore() time.Time { return c.notBefore.orZero() }

// IssuedAt returns "iat" (RFC 7519 §4.1.6) in UTC, or the zero time.
func (c *Claims) IssuedAt() time.Time { return c.issuedAt.orZero() }

// Confirmation returns "cnf.jkt" (RFC 9449 §6.1): the thumbprint of the client
// key that the token is bound to, or "". A token that is bound is only worth
// something together with a proof by that key; [Verifier.Verify] sees the token
// alone and cannot ask for one.
func (c *Claims) Confirmation() string { return c.confirmation }

// Verification says how the token was verified.
func (c *Claims) Verification() Verification { return c.verification }

// Decode stores the token's claims in v, a non-nil pointer, as JSON is stored
// in Go values, for the claims that have no method here. Struct tags are those
// of encoding/json; names are matched case-sensitively. Mind that claims that
// Claims gives were checked and those that only Decode gives were not.
func (c *Claims) Decode(v any) error {
	if err := json.Unmarshal([]byte(c.payload), v); err != nil {
		return fmt.Errorf("persauth: decode claims: %w", err)
	}
	return nil
}

// MarshalJSON returns the token's claims as they were signed.
func (c *Claims) MarshalJSON() ([]byte, error) {
	if c == nil {
		return nil, errors.New("persauth: no claims")
	}
	return []byte(c.payload), nil
}

// Format writes who the caller is, for every verb: never the email, nor claims
// that this package does not know.
//
// It is a method of the value, so that a copy (*claims) does not show all that
// is inside; a nil *Claims is written as fmt writes any nil.
func (c Claims) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "{sub:%q tenant:%q business:%q roles:%q authType:%q}",
		c.subject, c.tenantID, c.businessID, c.roles, c.authType)
}

// LogValue gives log/slog who the caller is: never the email, nor claims that
// this package does not know.
func (c *Claims) LogValue() slog.Value {
	if c == nil {
		return slog.StringValue("no claims")
	}
	return slog.GroupValue(
		slog.String("sub", c.subject),
		slog.String("tenant", c.tenantID),
		slog.String("business", c.businessID),
		slog.Any("roles", c.Roles()),
		slog.String("authType", string(c.authType)),
	)
}
