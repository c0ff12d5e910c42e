package persauth

// Claims from JSON, in one pass and strictly: case-sensitive names, none twice,
// valid UTF-8, bounded depth, and each claim that is known in its own form.

import (
	"math"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

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
func (c *candidate) decode(payload string, tree []claimMember, now instant) error {
	if c.reset(payload, tree, now); !c.readPlain() {
		c.reset(payload, tree, now)
		if err := strictObject([]byte(payload), c); err != nil {
			return &Error{Check: "payload", Want: "a strict JSON object", Err: ErrMalformed, Cause: err}
		}
	}
	if c.expiresAt == noInstant {
		c.note(fieldExpiresAt, "none")
	}
	if c.tenantID == "" {
		c.note(fieldTenant, "none")
	}
	return nil
}

func (c *candidate) reset(payload string, tree []claimMember, now instant) {
	*c = candidate{now: now, tree: tree}
	c.payload = payload
	c.expiresAt, c.notBefore, c.issuedAt = noInstant, noInstant, noInstant
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
			if err = c.object(dec, m.inner); err == nil {
				c.wholeObject(m)
			}
		default:
			var v jsontext.Value
			if v, err = dec.ReadValue(); err == nil {
				end := int(dec.InputOffset())
				c.member(m, c.payload[end-len(v):end])
			}
		}
		if err != nil {
			return err
		}
	}
	_, err := dec.ReadToken()
	return err
}

// wholeObject is called behind an object that has claims inside.
func (c *candidate) wholeObject(m *claimMember) {
	if m.name == "cnf" && c.confirmation == "" {
		// Bound to something else (RFC 7800 §3.1), of which there will be no
		// proof: not a bearer token.
		c.note(fieldConfirmation, "an object without it")
	}
}

// member stores the value of a member, which is a part of the payload and not
// an object with claims inside.
func (c *candidate) member(m *claimMember, v string) {
	if m.inner != nil {
		c.notObject(m.inner, v)
	} else {
		c.take(m.field, v)
	}
}

// findRaw finds a member by its name as it stands in the JSON text.
func findRaw(tree []claimMember, name jsontext.Value) *claimMember {
	bare, ok := text(string(name))
	if !ok {
		return nil
	}
	return find(tree, bare)
}

// notObject notes v for all claims that should have been inside of it.
func (c *candidate) notObject(tree []claimMember, v string) {
	for _, m := range tree {
		if m.inner != nil {
			c.notObject(m.inner, v)
		} else if v != "null" || !claimForms[m.field].optional {
			c.note(m.field, kindName(jsontext.Value(v))+" around it")
		}
	}
}

// take stores one claim.
func (c *candidate) take(field claimField, v string) {
	ok := true
	if v == "null" && claimForms[field].optional {
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
		c.issuer, ok = text(v)
	case fieldAudience:
		c.audience, ok = texts(v)
	case fieldSubject:
		c.subject, ok = text(v)
	case fieldID:
		c.id, ok = text(v)
	case fieldTenant:
		c.tenantID, ok = text(v)
		if ok && c.tenantID == "" {
			c.note(field, "an empty string")
		}
	case fieldBusiness:
		c.businessID, ok = text(v)
	case fieldRole:
		c.roles, ok = texts(v)
	case fieldAuthType:
		var t string
		t, ok = text(v)
		c.authType = AuthType(t)
	case fieldEmail:
		c.email, ok = text(v)
	case fieldConfirmation:
		c.confirmation, ok = text(v)
		if ok && c.confirmation == "" {
			c.note(field, "an empty jkt")
		}
	}
	if !ok {
		got := kindName(jsontext.Value(v))
		if isNumber(v) {
			got = "a number out of range"
		}
		c.note(field, got)
	}
}

// text returns a string claim: as a part of the payload where that is possible,
// so that a claim costs no memory of its own.
func text(v string) (string, bool) {
	if v[0] != '"' {
		return "", false
	}
	if strings.IndexByte(v, '\\') < 0 {
		return v[1 : len(v)-1], true
	}
	return jsonString(jsontext.Value(v))
}

// texts returns a claim that is one string or an array of strings.
func texts(v string) ([]string, bool) {
	if v[0] != '[' {
		one, ok := text(v)
		return []string{one}, ok
	}
	if one, ok := oneText(v); ok {
		return []string{one}, true
	}
	return jsonStrings(jsontext.Value(v))
}

// oneText returns the text of an array of exactly one plain string.
func oneText(v string) (string, bool) {
	r := plainReader{text: v, at: 1}
	if r.string() && r.take(']') && r.at == len(v) {
		return v[2 : len(v)-2], true
	}
	return "", false
}

// numericDate reads a NumericDate (RFC 7519 §2). Years past 9999 are refused:
// they come from a clock in milliseconds, and such a token would never expire.
func numericDate(v string) (instant, bool) {
	const yearZero, yearTenThousand = -62167219200, 253402300800
	if !isNumber(v) {
		return noInstant, false
	}
	if seconds, ok := plainSeconds(v); ok {
		return instant(seconds * 1e6), true
	}
	f, err := strconv.ParseFloat(v, 64)
	if err != nil || f < yearZero || f >= yearTenThousand {
		return noInstant, false
	}
	return instant(math.Floor(f * 1e6)), true
}

func isNumber(v string) bool { return v[0] == '-' || v[0] >= '0' && v[0] <= '9' }

// plainSeconds reads what nearly every NumericDate is: a few digits.
func plainSeconds(v string) (seconds int64, ok bool) {
	if len(v) > 11 {
		return 0, false
	}
	for _, digit := range []byte(v) {
		if digit < '0' || digit > '9' {
			return 0, false
		}
		seconds = 10*seconds + int64(digit-'0')
	}
	return seconds, true
}
