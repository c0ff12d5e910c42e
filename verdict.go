package persauth

// Which answers of POST /auth/verify are believed.

import "github.com/go-json-experiment/json/jsontext"

// verdict is PERS' answer. Members that we do not know are left alone.
type verdict struct {
	Valid        *bool          `json:"valid"`
	Payload      jsontext.Value `json:"payload"`
	TenantID     *string        `json:"tenantId"`
	ErrorMessage *string        `json:"errorMessage"`
}

// believe decides what an answer says about the token with these claims, which
// were read from the token itself. An answer that contradicts itself or the
// token is not believed, whichever way it points: then nobody can tell.
func (o *oracle) believe(body []byte, own *Claims) error {
	var v verdict
	if err := strictObject(body, &v); err != nil {
		return mismatch("a verdict", "an answer that is none")
	}
	if v.Valid == nil {
		return mismatch(`"valid" to be true or false`, "neither")
	}
	complaint := v.ErrorMessage != nil && *v.ErrorMessage != ""
	if !*v.Valid {
		return &Error{Check: "remote", Want: "a token that PERS accepts", Got: "one that it does not", Err: ErrRejected}
	}
	if complaint {
		return mismatch(`"valid" or an error message`, "both")
	}
	if v.TenantID != nil && *v.TenantID != "" && *v.TenantID != own.tenantID {
		return mismatch("tenant "+quoted(own.tenantID), quoted(*v.TenantID))
	}
	if v.Payload == nil || v.Payload.Kind() == 'n' {
		return nil
	}
	return own.samePayload(v.Payload, o.tree)
}

// samePayload compares the claims that say whose token this is.
func (c *Claims) samePayload(payload jsontext.Value, tree []claimMember) error {
	var theirs candidate
	if err := theirs.decode(payload, tree, 0); err != nil {
		return mismatch("the token's payload", "something else")
	}
	for _, claim := range []struct {
		name string
		same bool
	}{
		{"sub", theirs.subject == c.subject},
		{"tenant", theirs.tenantID == c.tenantID},
		{"business", theirs.businessID == c.businessID},
		{"exp", theirs.expiresAt == c.expiresAt},
		{"jti", theirs.id == c.id},
	} {
		if !claim.same {
			return mismatch("the token's own "+claim.name, "another")
		}
	}
	return nil
}

// mismatch is also ErrUnavailable: the token may be good or bad, and the caller
// should come again.
func mismatch(want, got string) *Error {
	return &Error{Check: "remote", Want: want, Got: got, Err: ErrRemoteMismatch, Cause: ErrUnavailable}
}
