package persauth

// Which responses of POST /auth/verify are valid, and what they say of a token.

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/persauth/persauth/internal/strictjson"
)

// verifyResponse is the response of PERS. Members that we do not know are ignored.
type verifyResponse struct {
	Valid        *bool          `json:"valid"`
	Payload      jsontext.Value `json:"payload"`
	TenantID     *string        `json:"tenantId"`
	ErrorMessage *string        `json:"errorMessage"`
}

// payloadFields are the claims that a payload must not have with another value
// than the token: those that say whose the token is, what it is good for, and
// until when.
var payloadFields = [...]claimField{fieldSubject, fieldTenant, fieldBusiness, fieldRole, fieldAuthType, fieldKind, fieldExpiresAt, fieldID, fieldConfirmation}

// validate decides what a response says about the token with these claims, which
// were read from the token itself. A refusal is taken as it comes. An acceptance
// that contradicts itself or the token is a mismatch: then nobody can tell.
//
// namesTenant requires that an acceptance names the tenant. Where our own key set,
// which is the tenant's, did not verify the signature, nothing else says that the
// token is the tenant's: the token's own claims are a stranger's.
func (i *introspector) validate(body []byte, own *Claims, namesTenant bool) error {
	var v verifyResponse
	if err := strictjson.Object(body, &v); err != nil {
		return mismatch("a verdict", "something else")
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
	named := v.TenantID != nil && *v.TenantID != ""
	if named && *v.TenantID != own.TenantID() {
		// The answer is not quoted: its writer knows the project key.
		return mismatch("the token's own tenant", "another")
	}
	if v.Payload != nil && v.Payload.Kind() != 'n' {
		there, err := own.comparePayload(v.Payload, i.tree)
		if err != nil {
			return err
		}
		named = named || there[fieldTenant]
	}
	if namesTenant && !named {
		return mismatch("the token's own tenant", "an answer that names none")
	}
	return nil
}

// comparePayload holds the claims of a payload against the token's own, and
// returns which of all claims it has.
func (c *Claims) comparePayload(payload jsontext.Value, tree []strictjson.Member) (there map[claimField]bool, err error) {
	var theirs parsedClaims
	if err := theirs.decode(payload, tree, 0); err != nil {
		return nil, mismatch("the token's payload", "something else")
	}
	there = make(map[claimField]bool)
	if err := presentFields(there, payload, tree); err != nil {
		return nil, mismatch("the token's payload", "something else")
	}
	for _, field := range payloadFields {
		// A claim of the wrong form reads as if it were not there. A "cnf" without
		// a thumbprint binds the token to something else (RFC 7800 §3.1).
		_, wrong := theirs.wrong[field]
		if !there[field] && !(wrong && field == fieldConfirmation) {
			continue
		}
		same := field == fieldExpiresAt && theirs.expiresAt == c.expiresAt
		if field >= firstText {
			same = string(theirs.get(field)) == c.get(field)
		}
		if wrong || !same {
			return nil, mismatch("the token's own "+claimForms[field].check, "another")
		}
	}
	return there, nil
}

// presentFields notes which claims an object, read beside the tree of names, has,
// in whatever form: also as null, which is no value that the token can have.
func presentFields(there map[claimField]bool, object jsontext.Value, tree []strictjson.Member) error {
	var members map[string]jsontext.Value
	if object.Kind() == '{' {
		if err := json.Unmarshal(object, &members); err != nil {
			return err
		}
	}
	for _, m := range tree {
		switch value, ok := members[m.Name]; {
		case !ok && object.Kind() == '{':
		case m.Inner == nil:
			there[claimField(m.Field)] = true
		default:
			if err := presentFields(there, value, m.Inner); err != nil {
				return err
			}
		}
	}
	return nil
}

// mismatch is also ErrUnavailable: the token may be good or bad, and the caller
// should come again.
func mismatch(want, got string) *Error {
	return &Error{Check: "remote", Want: want, Got: got, Err: ErrRemoteMismatch, Cause: ErrUnavailable}
}
