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
// were read from the token itself. A refusal is taken as it comes. An acceptance
// that contradicts itself or the token is not believed: then nobody can tell.
func (o *oracle) believe(body []byte, own *Claims) error {
	var v verdict
	if err := strictObject(body, &v); err != nil {
		return mismatch("a verdict", "an answer that is none")
	}
	if v.Valid == nil {
		return mismatch(`"valid" to be true or false`, "neither")
	}
	if !*v.Valid {
		return &Error{Check: "remote", Want: "a token that PERS accepts", Got: "one that it does not", Err: ErrRejected}
	}
	if v.ErrorMessage != nil && *v.ErrorMessage != "" {
		return mismatch(`"valid" or an error message`, "both")
	}
	if v.TenantID != nil && *v.TenantID != "" && *v.TenantID != own.TenantID() {
		// The answer is not quoted: whoever wrote it knows the project key.
		return mismatch("the token's own tenant", "another")
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
		field claimField
		same  bool
	}{
		{fieldSubject, string(theirs.get(fieldSubject)) == c.Subject()},
		{fieldTenant, string(theirs.get(fieldTenant)) == c.TenantID()},
		{fieldBusiness, string(theirs.get(fieldBusiness)) == c.BusinessID()},
		{fieldExpiresAt, theirs.expiresAt == c.expiresAt},
		{fieldID, string(theirs.get(fieldID)) == c.ID()},
	} {
		// A claim of the wrong form reads as if it were not there.
		if _, wrong := theirs.wrong[claim.field]; wrong || !claim.same {
			return mismatch("the token's own "+claimForms[claim.field].check, "another")
		}
	}
	return nil
}

// mismatch is also ErrUnavailable: the token may be good or bad, and the caller
// should come again.
func mismatch(want, got string) *Error {
	return &Error{Check: "remote", Want: want, Got: got, Err: ErrRemoteMismatch, Cause: ErrUnavailable}
}
