package persauth

// What a verified token says. How claims are read from JSON is in decode.go,
// what they allow in authorize.go.

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/persauth/persauth/internal/clock"
	"github.com/persauth/persauth/internal/jose"
	"github.com/persauth/persauth/internal/strictjson"
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
// a *Claims is the proof that a token was checked.
//
// Claims are immutable, safe for concurrent use, and shared: every request with
// the same token may get the same *Claims. They do not hold its signature, so
// nobody can make a token of them.
//
// A nil *Claims is nobody, for every method: it has no subject, no tenant and no
// role, each Require… and Decode return an error that is [ErrForbidden], and it is
// printed as <nil>. Decide with Require… or a [Guard]: a comparison of your own may
// take the empty text of nobody for a match.
//
// They are kept small, because a service may hold many: see docs/performance.md.
type Claims struct {
	// text is the claims that are texts, one behind the other and each up to
	// its end, and behind them the token without its signature.
	text string
	ends [textFields]uint16

	flags  claimFlags
	denied uint32 // the version of the deny list that the token was held against

	expiresAt, notBefore, issuedAt clock.Instant // absent: None
	checked                        clock.Instant // see Verification.CheckedAt; None: never

	header *jose.Header
	key    *jose.Key // nil: PERS vouched for the token
}

// claimFlags are what is known of a token in one bit each.
type claimFlags uint8

const (
	flagKeysStale     claimFlags = 1 << iota // see Verification.KeysStale
	flagInGrace                              // see Verification.InGrace
	flagTenantSession                        // there is evidence that the token is the tenant's own
)

func (f claimFlags) has(flag claimFlags) bool { return f&flag != 0 }

// with returns f with a flag set or cleared.
func (f claimFlags) with(flag claimFlags, on bool) claimFlags {
	if on {
		return f | flag
	}
	return f &^ flag
}

// get returns a claim that is a text, or, for a list, the list of its elements.
func (c *Claims) get(field claimField) string {
	if c == nil {
		return ""
	}
	i := field - firstText
	start := uint16(0)
	if i > 0 {
		start = c.ends[i-1]
	}
	return c.text[start:c.ends[i]]
}

// SigningInput returns the token without its signature.
func (c *Claims) signingInput() string { return c.text[c.ends[textFields-1]:] }

// payload returns the claims as JSON.
func (c *Claims) payload() []byte {
	_, segment, _ := strings.Cut(c.signingInput(), ".")
	payload, _ := base64.RawURLEncoding.DecodeString(segment) // it was decoded before
	return payload
}

// account identifies the account behind a token: its tenant and "sub". Where tokens
// have no "sub", the key must do. The length of the tenant keeps it apart from what
// follows.
func (c *Claims) account() tokenDigest {
	tenant, kind, account := c.TenantID(), byte('s'), c.Subject()
	if account == "" {
		kind, account = 'k', c.Confirmation()
	}
	var room [256]byte
	text := append(binary.BigEndian.AppendUint32(room[:0], uint32(len(tenant))), tenant...)
	return sha256.Sum256(append(append(text, kind), account...))
}

// Verification says how a token was verified.
type Verification struct {
	// Method says who checked the signature.
	Method VerificationMethod `json:"method"`
	// KeyID is the token's "kid", and empty for a token without one, also where
	// the key that verified it has one.
	KeyID string `json:"keyId"`
	// Algorithm is the token's "alg", for example "RS256".
	Algorithm string `json:"algorithm"`
	// KeysStale is true when the keys were past their soft age: PERS should
	// have been asked for newer ones and had not answered yet.
	KeysStale bool `json:"keysStale"`
	// CheckedAt is when PERS was asked for its last word that the token is
	// good, or the zero time: it was not asked.
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
	// VerifiedRemotely: PERS did, because the key is not held here.
	VerifiedRemotely VerificationMethod = "remote"
)

// Subject returns "sub" (RFC 7519 §4.1.2): the caller's id. It may be empty.
func (c *Claims) Subject() string { return c.get(fieldSubject) }

// TenantID returns the tenant that the token belongs to. It is empty for nobody
// alone.
func (c *Claims) TenantID() string { return c.get(fieldTenant) }

// BusinessID returns the business that the caller acts for, or "".
func (c *Claims) BusinessID() string { return c.get(fieldBusiness) }

// Roles returns a copy of the caller's roles. What a role is worth depends on
// where it is held: to decide by one, use [Claims.RequireBusinessRole] or
// [Claims.RequireTenantRole].
func (c *Claims) Roles() []string { return slices.Collect(strictjson.List(c.get(fieldRole))) }

// AuthType returns what kind of caller this is, or "" when the token does not
// say.
func (c *Claims) AuthType() AuthType { return AuthType(c.get(fieldAuthType)) }

// SessionID returns "sid": the session that the token was issued in, or "".
func (c *Claims) SessionID() string { return c.get(fieldSession) }

// TokenKind returns what PERS calls this token, such as "USER_JWT_ACCESS_TOKEN",
// or "" when the token does not say. It is never that of a refresh token.
func (c *Claims) TokenKind() string { return c.get(fieldKind) }

// Email returns "email", or "". It is personal data: do not log it.
func (c *Claims) Email() string { return c.get(fieldEmail) }

// Issuer returns "iss" (RFC 7519 §4.1.1), or "".
func (c *Claims) Issuer() string { return c.get(fieldIssuer) }

// Audience returns a copy of "aud" (RFC 7519 §4.1.3), or nil.
func (c *Claims) Audience() []string { return slices.Collect(strictjson.List(c.get(fieldAudience))) }

// ID returns "jti" (RFC 7519 §4.1.7): the token's id, or "".
func (c *Claims) ID() string { return c.get(fieldID) }

// ExpiresAt returns "exp" (RFC 7519 §4.1.4) in UTC. It is zero for nobody
// alone.
func (c *Claims) ExpiresAt() time.Time {
	if c == nil {
		return time.Time{}
	}
	return c.expiresAt.OrZero()
}

// NotBefore returns "nbf" (RFC 7519 §4.1.5) in UTC, or the zero time.
func (c *Claims) NotBefore() time.Time {
	if c == nil {
		return time.Time{}
	}
	return c.notBefore.OrZero()
}

// IssuedAt returns "iat" (RFC 7519 §4.1.6) in UTC, or the zero time.
func (c *Claims) IssuedAt() time.Time {
	if c == nil {
		return time.Time{}
	}
	return c.issuedAt.OrZero()
}

// Confirmation returns "cnf.jkt" (RFC 9449 §6.1): the thumbprint of the client
// key that the token is bound to, or "". A token that is bound is only worth
// something together with a proof by that key; [Verifier.Verify] sees the token
// alone and cannot ask for one.
func (c *Claims) Confirmation() string { return c.get(fieldConfirmation) }

// Verification says how the token was verified. It is zero for nobody alone.
func (c *Claims) Verification() Verification {
	if c == nil {
		return Verification{}
	}
	v := Verification{Method: VerifiedLocally, KeysStale: c.flags.has(flagKeysStale), CheckedAt: c.checked.OrZero(), InGrace: c.flags.has(flagInGrace)}
	if c.key == nil {
		v.Method = VerifiedRemotely
	}
	if c.header != nil {
		v.KeyID, v.Algorithm = c.header.Kid, c.header.Alg
	}
	return v
}

// Decode stores the token's claims in v, a non-nil pointer, as JSON is stored
// in Go values, for the claims that have no method here. Struct tags are those
// of encoding/json; names are matched case-sensitively. Mind that claims that
// Claims gives were checked and those that only Decode gives were not.
func (c *Claims) Decode(v any) error {
	if c == nil {
		return forbidden("claims", "a verified token", "none")
	}
	if err := json.Unmarshal(c.payload(), v); err != nil {
		return fmt.Errorf("persauth: decode claims: %w", err)
	}
	return nil
}

// MarshalJSON returns the token's claims as they were signed, and null for nobody.
func (c *Claims) MarshalJSON() ([]byte, error) {
	if c == nil {
		return []byte("null"), nil
	}
	return c.payload(), nil
}

// Format writes who the caller is, for every verb: never the email, nor claims
// that this package does not know.
//
// It is a method of the value, so that a copy (*claims) does not show all that
// is inside; a nil *Claims is written as fmt writes any nil.
func (c Claims) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "{sub:%q tenant:%q business:%q roles:%q authType:%q}",
		c.Subject(), c.TenantID(), c.BusinessID(), c.Roles(), c.AuthType())
}

// LogValue gives log/slog who the caller is: never the email, nor claims that
// this package does not know.
func (c *Claims) LogValue() slog.Value {
	if c == nil {
		return slog.StringValue("<nil>")
	}
	return slog.GroupValue(
		slog.String("sub", c.Subject()),
		slog.String("tenant", c.TenantID()),
		slog.String("business", c.BusinessID()),
		slog.Any("roles", c.Roles()),
		slog.String("authType", string(c.AuthType())),
	)
}
