package persauth

// Claims from JSON, in one pass and strictly: case-sensitive names, none twice,
// valid UTF-8, bounded depth, and each claim that is known in its own form.

import (
	"bytes"
	"math"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// candidate is a set of claims on its way through the checks. What it holds of
// the payload are parts of it, where that is possible, so that reading takes no
// memory.
type candidate struct {
	payload                        []byte
	plain                          bool               // all was read the short way
	texts                          [textFields][]byte // lists as appendElement makes them
	expiresAt, notBefore, issuedAt instant            // absent: noInstant

	now   instant
	tree  []claimMember
	wrong map[claimField]string // what was there in place of the right form
	lists []byte                // room for lists
}

// get returns a claim that is a text or a list.
func (c *candidate) get(field claimField) []byte { return c.texts[field-firstText] }

// glance reads the claims if that takes no more than the short way of plain.go,
// and reports whether they say that the token has expired.
func (c *candidate) glance(payload []byte, tree []claimMember, now instant, e *expectation) bool {
	c.reset(payload, tree, now)
	c.plain = c.readPlain()
	return c.plain && c.expired(e)
}

func (c *candidate) expired(e *expectation) bool {
	// "on or after" the time in exp a token must be refused.
	return c.expiresAt != noInstant && c.now >= c.expiresAt.add(e.leeway)
}

// decode reads claims, unless a glance at them was enough. The error says that
// the payload is not a strict JSON object; claims of the wrong form are noted in
// the candidate.
func (c *candidate) decode(payload []byte, tree []claimMember, now instant) error {
	if c.payload == nil {
		c.reset(payload, tree, now)
		c.plain = c.readPlain()
	}
	if c.now = now; !c.plain {
		c.reset(payload, tree, now)
		if err := strictObject(payload, c); err != nil {
			return &Error{Check: "payload", Want: "a strict JSON object", Err: ErrMalformed, Cause: err}
		}
	}
	if c.expiresAt == noInstant {
		c.note(fieldExpiresAt, "none")
	}
	if len(c.get(fieldTenant)) == 0 {
		c.note(fieldTenant, "none")
	}
	return nil
}

func (c *candidate) reset(payload []byte, tree []claimMember, now instant) {
	*c = candidate{payload: payload, expiresAt: noInstant, notBefore: noInstant, issuedAt: noInstant,
		now: now, tree: tree, lists: c.lists[:0]}
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
			if v, err = nextValue(dec, c.payload); err == nil {
				c.member(m, v)
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
	if m.name == "cnf" && len(c.get(fieldConfirmation)) == 0 {
		// Bound to something else (RFC 7800 §3.1), of which there will be no
		// proof: not a bearer token.
		c.note(fieldConfirmation, "an object without it")
	}
}

// member stores the value of a member, which is a part of the payload and not
// an object with claims inside.
func (c *candidate) member(m *claimMember, v []byte) {
	if m.inner != nil {
		c.notObject(m.inner, v)
	} else {
		c.take(m.field, v)
	}
}

// findRaw finds a member by its name as it stands in the JSON text.
func findRaw(tree []claimMember, name jsontext.Value) *claimMember {
	bare, ok := text(name)
	if !ok {
		return nil
	}
	return find(tree, bare)
}

// notObject notes v for all claims that should have been inside of it.
func (c *candidate) notObject(tree []claimMember, v []byte) {
	for _, m := range tree {
		if m.inner != nil {
			c.notObject(m.inner, v)
		} else if string(v) != "null" || !claimForms[m.field].optional {
			c.note(m.field, kindName(jsontext.Value(v))+" around it")
		}
	}
}

// take stores one claim.
func (c *candidate) take(field claimField, v []byte) {
	if string(v) == "null" && claimForms[field].optional {
		return
	}
	if s, ok := text(v); ok {
		c.takeText(field, s)
		return
	}
	ok := false
	switch field {
	case fieldExpiresAt:
		c.expiresAt, ok = numericDate(v)
	case fieldNotBefore:
		c.notBefore, ok = numericDate(v)
	case fieldIssuedAt:
		c.issuedAt, ok = numericDate(v)
	case fieldAudience, fieldRole:
		start := len(c.lists)
		if c.lists, ok = appendTexts(c.lists, v); ok {
			c.texts[field-firstText] = c.lists[start:]
		}
	}
	if ok {
		return
	}
	got := kindName(jsontext.Value(v))
	if field < firstText && isNumber(v) {
		got = "a number out of range"
	}
	c.note(field, got)
}

// takeText stores one claim that is a string.
func (c *candidate) takeText(field claimField, s []byte) {
	switch field {
	case fieldExpiresAt, fieldNotBefore, fieldIssuedAt:
		c.note(field, "a string")
		return
	case fieldAudience, fieldRole:
		start := len(c.lists)
		c.lists = appendElement(c.lists, s)
		s = c.lists[start:]
	case fieldTenant:
		if len(s) == 0 {
			c.note(field, "an empty string")
		}
	case fieldConfirmation:
		if len(s) == 0 {
			c.note(field, "an empty jkt")
		}
	}
	c.texts[field-firstText] = s
}

// text returns what a JSON string says: as a part of it where that is possible.
func text(v []byte) ([]byte, bool) {
	if v[0] != '"' {
		return nil, false
	}
	if bytes.IndexByte(v, '\\') < 0 {
		return v[1 : len(v)-1], true
	}
	unquoted, err := jsontext.AppendUnquote(nil, v)
	return unquoted, err == nil
}

// appendTexts adds a claim that is an array of texts to a list.
func appendTexts(list, v []byte) ([]byte, bool) {
	if v[0] != '[' {
		return list, false
	}
	if longer, ok := appendPlainTexts(list, v); ok {
		return longer, true
	}
	var values []jsontext.Value
	if json.Unmarshal(v, &values) != nil {
		return list, false
	}
	for _, value := range values {
		one, ok := text(value)
		if !ok {
			return list, false
		}
		list = appendElement(list, one)
	}
	return list, true
}

// numericDate reads a NumericDate (RFC 7519 §2). Years past 9999 are refused:
// they come from a clock in milliseconds, and such a token would never expire.
func numericDate(v []byte) (instant, bool) {
	const yearZero, yearTenThousand = -62167219200, 253402300800
	if !isNumber(v) {
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

func isNumber(v []byte) bool { return v[0] == '-' || v[0] >= '0' && v[0] <= '9' }

// plainSeconds reads what nearly every NumericDate is: a few digits.
func plainSeconds(v []byte) (seconds int64, ok bool) {
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
