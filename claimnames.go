package persauth

// Which claims are read, what form they have, and by which names they are found.

import (
	"fmt"
	"strings"

	"github.com/persauth/persauth/internal/strictjson"
)

// ClaimNames says where in a token the claims of PERS are found. An empty name
// stands for the default. A name is a path: "context.businessId" is the member
// businessId of the object context. A name that has a dot in itself is written
// as a JSON Pointer (RFC 6901), "/https:~1~1example.com~1tenant", and so starts
// with a slash.
type ClaimNames struct {
	Tenant   string // default "tenantId"
	Business string // default "businessId"
	Role     string // default "role"; one string or an array of strings
	AuthType string // default "authType"
	Email    string // default "email"
	Session  string // default "sid": the session that the token was issued in
	Kind     string // default "type": what PERS calls the token, such as TENANT_ADMIN_JWT
}

// claimField is a claim that Claims has a place for.
type claimField int

const (
	noField claimField = iota
	fieldExpiresAt
	fieldNotBefore
	fieldIssuedAt

	// From here on they are texts, or lists of texts.
	fieldIssuer
	fieldAudience
	fieldSubject
	fieldID
	fieldTenant
	fieldBusiness
	fieldRole
	fieldAuthType
	fieldEmail
	fieldConfirmation
	fieldSession
	fieldKind

	firstText  = fieldIssuer
	textFields = fieldKind - firstText + 1
)

// claimForms says of each field what its check is called and what form it must
// have. An optional one may also be null, which then is as if it were not there;
// the registered claims (RFC 7519 §4.1) may not.
var claimForms = [...]struct {
	check, form string
	optional    bool
}{
	fieldExpiresAt:    {check: "exp", form: "seconds since 1970, up to the year 9999"},
	fieldNotBefore:    {check: "nbf", form: "none, or seconds since 1970, up to the year 9999"},
	fieldIssuedAt:     {check: "iat", form: "none, or seconds since 1970, up to the year 9999"},
	fieldIssuer:       {check: "iss", form: "none, or a string"},
	fieldAudience:     {check: "aud", form: "none, a string, or an array of strings"},
	fieldSubject:      {check: "sub", form: "none, or a string"},
	fieldID:           {check: "jti", form: "none, or a string"},
	fieldTenant:       {check: "tenant", form: "a string that is not empty"},
	fieldBusiness:     {check: "business", form: "none, or a string", optional: true},
	fieldRole:         {check: "role", form: "none, a string, or an array of strings", optional: true},
	fieldAuthType:     {check: "authType", form: "none, or a string", optional: true},
	fieldEmail:        {check: "email", form: "none, or a string", optional: true},
	fieldConfirmation: {check: "cnf", form: "none, or an object whose jkt is a string"},
	fieldSession:      {check: "session", form: "none, or a string", optional: true},
	fieldKind:         {check: "kind", form: "none, or a string", optional: true},
}

// claimTree turns the configured names into the tree that decoding walks.
func claimTree(names ClaimNames) ([]strictjson.Member, error) {
	tree := make([]strictjson.Member, 0, 16) // more than there are by default
	var failed failures
	for _, c := range []struct {
		field              claimField
		configured, normal string
	}{
		{fieldExpiresAt, "", "exp"},
		{fieldNotBefore, "", "nbf"},
		{fieldIssuedAt, "", "iat"},
		{fieldIssuer, "", "iss"},
		{fieldAudience, "", "aud"},
		{fieldSubject, "", "sub"},
		{fieldID, "", "jti"},
		{fieldConfirmation, "", "cnf.jkt"},
		{fieldTenant, names.Tenant, "tenantId"},
		{fieldBusiness, names.Business, "businessId"},
		{fieldRole, names.Role, "role"},
		{fieldAuthType, names.AuthType, "authType"},
		{fieldEmail, names.Email, "email"},
		{fieldSession, names.Session, "sid"},
		{fieldKind, names.Kind, "type"},
	} {
		name := c.normal
		if c.configured != "" {
			name = c.configured
		}
		path := claimPath(name)
		if len(path) > strictjson.MaxDepth {
			failed = append(failed, fmt.Errorf("ClaimNames: %q is nested deeper than %d", name, strictjson.MaxDepth))
			continue
		}
		var ok bool
		if tree, ok = strictjson.Plant(tree, path, int(c.field)); !ok {
			failed = append(failed, fmt.Errorf("ClaimNames: %q is empty in part, or already stands for another claim", name))
		}
	}
	return tree, failed.join()
}

// claimPath splits a name into the members that lead to the claim.
func claimPath(name string) []string {
	if pointer, ok := strings.CutPrefix(name, "/"); ok {
		path := strings.Split(pointer, "/")
		for i := range path {
			path[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(path[i])
		}
		return path
	}
	return strings.Split(name, ".")
}
