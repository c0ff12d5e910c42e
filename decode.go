package persauth

// Claims from JSON, in one pass and strictly: case-sensitive names, none twice,
// valid UTF-8, bounded depth, and each claim that is known in its own form.

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
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
}

// claimField is a claim that Claims has a place for.
type claimField int

const (
	noField claimField = iota
	fieldExpiresAt
	fieldNotBefore
	fieldIssuedAt
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
}

// list reports whether the claim may be an array of strings.
func (f claimField) list() bool { return f == fieldRole || f == fieldAudience }

// claimMember is one name in the tree of members that are read: a field, or an
// object with more of them inside.
type claimMember struct {
	name  string
	field claimField
	inner []claimMember
}

// claimTree turns the configured names into the tree that decoding walks.
func claimTree(names ClaimNames) ([]claimMember, error) {
	var tree []claimMember
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
	} {
		name := c.normal
		if c.configured != "" {
			name = c.configured
		}
		path := claimPath(name)
		if len(path) > maxDepth {
			failed = append(failed, fmt.Errorf("ClaimNames: %q is nested deeper than %d", name, maxDepth))
			continue
		}
		var ok bool
		if tree, ok = plant(tree, path, c.field); !ok {
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

// plant adds a path to the tree. It reports false when the path has an empty
// part, or ends or runs through where another one ends.
func plant(tree []claimMember, path []string, field claimField) ([]claimMember, bool) {
	if path[0] == "" {
		return tree, false
	}
	m := find(tree, path[0])
	if m == nil {
		tree = append(tree, claimMember{name: path[0]})
		m = &tree[len(tree)-1]
	} else if m.field != noField || len(path) == 1 {
		return tree, false
	}
	if len(path) == 1 {
		m.field = field
		return tree, true
	}
	var ok bool
	m.inner, ok = plant(m.inner, path[1:], field)
	return tree, ok
}

func find(tree []claimMember, name string) *claimMember {
	for i := range tree {
		if tree[i].name == name {
			return &tree[i]
		}
	}
	return nil
}

// candidate is a set of claims on its way through the checks. Its Claims leave
// the package only when all of them held.
type candidate struct {
	Claims
	now   instant
	wrong map[claimField]string // what was there in place of the right form
	tree  []claimMember
}

// decode reads claims. The error says that the payload is not a strict JSON
// object; claims of the wrong form are noted in the candidate.
func (c *candidate) decode(payload []byte, tree []claimMember, now instant) error {
	*c = candidate{now: now, tree: tree}
	c.payload = string(payload)
	c.expiresAt, c.notBefore, c.issuedAt = noInstant, noInstant, noInstant
	if err := strictObject(payload, c); err != nil {
		return &Error{Check: "payload", Want: "a strict JSON object", Err: ErrMalformed, Cause: err}
	}
	if c.expiresAt == noInstant {
		c.note(fieldExpiresAt, "none")
	}
	if c.tenantID == "" {
		c.note(fieldTenant, "none")
	}
	return nil
}

// note records that a claim does not have its form; the first word on it stays.
func (c *candidate) note(field claimField, got string) {
	if c.wrong == nil {
		c.wrong = make(map[claimField]string)
	}
	if _, noted := c.wrong[field]; !noted {
		c.wrong[field] = got
	}
}

// UnmarshalJSONFrom is called by the JSON decoder. It walks the payload beside
// the tree of names.
func (c *candidate) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	return c.object(dec, c.tree)
}

func (c *candidate) object(dec *jsontext.Decoder, tree []claimMember) error {
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	for dec.PeekKind() != '}' {
		name, err := dec.ReadValue()
		if err != nil {
			return err
		}
		m := findRaw(tree, name)
		switch {
		case m == nil:
			err = dec.SkipValue()
		case m.inner != nil && dec.PeekKind() == '{':
			err = c.object(dec, m.inner)
		case m.inner == nil && m.field.list() && dec.PeekKind() == '[':
			err = c.array(dec, m.field)
		default:
			var v jsontext.Value
			if v, err = dec.ReadValue(); err == nil && m.inner != nil {
				c.notObject(m.inner, v)
			} else if err == nil {
				c.take(m.field, v, int(dec.InputOffset()))
			}
		}
		if err != nil {
			return err
		}
	}
	_, err := dec.ReadToken()
	return err
}

// array reads a claim that is an array of strings.
func (c *candidate) array(dec *jsontext.Decoder, field claimField) error {
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	var texts []string
	for dec.PeekKind() != ']' {
		v, err := dec.ReadValue()
		if err != nil {
			return err
		}
		text, ok := c.text(v, int(dec.InputOffset()))
		if !ok {
			c.note(field, "an array with "+kindName(v)+" in it")
		}
		texts = append(texts, text)
	}
	if field == fieldRole {
		c.roles = texts
	} else {
		c.audience = texts
	}
	_, err := dec.ReadToken()
	return err
}

// findRaw finds a member by its name as it stands in the JSON text.
func findRaw(tree []claimMember, name jsontext.Value) *claimMember {
	for _, b := range name {
		if b == '\\' {
			text, ok := jsonString(name)
			if !ok {
				return nil
			}
			return find(tree, text)
		}
	}
	bare := name[1 : len(name)-1]
	for i := range tree {
		if tree[i].name == string(bare) {
			return &tree[i]
		}
	}
	return nil
}

// notObject notes v for all claims that should have been inside of it.
func (c *candidate) notObject(tree []claimMember, v jsontext.Value) {
	for _, m := range tree {
		if m.inner != nil {
			c.notObject(m.inner, v)
		} else if v.Kind() != 'n' || !claimForms[m.field].optional {
			c.note(m.field, kindName(v)+" around it")
		}
	}
}

// take stores one claim. end is where v ends in the payload.
func (c *candidate) take(field claimField, v jsontext.Value, end int) {
	ok := true
	if v.Kind() == 'n' && claimForms[field].optional {
		return
	}
	switch field {
	case fieldExpiresAt:
		c.expiresAt, ok = numericDate(v)
	case fieldNotBefore:
		c.notBefore, ok = numericDate(v)
	case fieldIssuedAt:
		c.issuedAt, ok = numericDate(v)
	case fieldIssuer:
		c.issuer, ok = c.text(v, end)
	case fieldAudience:
		c.audience, ok = c.one(v, end)
	case fieldSubject:
		c.subject, ok = c.text(v, end)
	case fieldID:
		c.id, ok = c.text(v, end)
	case fieldTenant:
		c.tenantID, ok = c.text(v, end)
		if ok && c.tenantID == "" {
			c.note(field, "an empty string")
		}
	case fieldBusiness:
		c.businessID, ok = c.text(v, end)
	case fieldRole:
		c.roles, ok = c.one(v, end)
	case fieldAuthType:
		var t string
		t, ok = c.text(v, end)
		c.authType = AuthType(t)
	case fieldEmail:
		c.email, ok = c.text(v, end)
	case fieldConfirmation:
		c.confirmation, ok = c.text(v, end)
		if ok && c.confirmation == "" {
			c.note(field, "an empty jkt")
		}
	}
	if !ok {
		got := kindName(v)
		if v.Kind() == '0' {
			got = "a number out of range"
		}
		c.note(field, got)
	}
}

// text returns a string claim.
func (c *candidate) text(v jsontext.Value, end int) (string, bool) {
	return stringIn(c.payload, v, end)
}

// stringIn returns the text of a JSON string that ends at end in payload: as a
// part of payload where that is possible, so that it costs no memory of its own.
func stringIn(payload string, v jsontext.Value, end int) (string, bool) {
	if v.Kind() != '"' {
		return "", false
	}
	inPayload := payload[end-len(v)+1 : end-1]
	if strings.IndexByte(inPayload, '\\') < 0 {
		return inPayload, true
	}
	return jsonString(v)
}

// one returns a list claim that is written as a single string.
func (c *candidate) one(v jsontext.Value, end int) ([]string, bool) {
	text, ok := c.text(v, end)
	if !ok {
		return nil, false
	}
	return []string{text}, true
}

// numericDate reads a NumericDate (RFC 7519 §2). Years past 9999 are refused:
// they come from a clock in milliseconds, and such a token would never expire.
func numericDate(v jsontext.Value) (instant, bool) {
	const yearZero, yearTenThousand = -62167219200, 253402300800
	if v.Kind() != '0' {
		return noInstant, false
	}
	if seconds, ok := plainSeconds(v); ok {
		return instant(seconds * 1e6), true
	}
	f, err := strconv.ParseFloat(string(v), 64)
	if err != nil || f < yearZero || f >= yearTenThousand {
		return noInstant, false
	}
	return instant(math.Floor(f * 1e6)), true
}

// plainSeconds reads what nearly every NumericDate is: a few digits.
func plainSeconds(v jsontext.Value) (seconds int64, ok bool) {
	if len(v) > 11 {
		return 0, false
	}
	for _, digit := range v {
		if digit < '0' || digit > '9' {
			return 0, false
		}
		seconds = 10*seconds + int64(digit-'0')
	}
	return seconds, true
}
