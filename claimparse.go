package persauth

// A token in its parts, and its claims from JSON: in one pass and strictly, with
// case-sensitive names, none twice, valid UTF-8, bounded depth, and each claim that is
// known in its own form.

import (
	"slices"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/persauth/persauth/internal/clock"
	"github.com/persauth/persauth/internal/jose"
	"github.com/persauth/persauth/internal/keyring"
	"github.com/persauth/persauth/internal/strictjson"
)

// parsedClaims is a set of claims on its way through the checks. What it holds of
// the payload are parts of it, where that is possible, so that reading takes no
// memory.
type parsedClaims struct {
	payload                        []byte
	plain                          bool               // all was read the short way
	texts                          [textFields][]byte // lists as AppendToList makes them
	expiresAt, notBefore, issuedAt clock.Instant      // absent: None

	now   clock.Instant
	tree  []strictjson.Member
	wrong map[claimField]string // what was there in place of the right form
	lists []byte                // room for lists
}

// get returns a claim that is a text or a list.
func (c *parsedClaims) get(field claimField) []byte { return c.texts[field-firstText] }

// peekExpiry reads the claims if that takes no more than the short way of fast.go,
// and reports whether they say that the token has expired.
func (c *parsedClaims) peekExpiry(payload []byte, tree []strictjson.Member, now clock.Instant, e *claimPolicy) bool {
	c.reset(payload, tree, now)
	c.plain = strictjson.ReadFast(c.payload, c.tree, c)
	return c.plain && c.expired(e)
}

func (c *parsedClaims) expired(e *claimPolicy) bool {
	// "on or after" the time in exp a token must be refused.
	return c.expiresAt != clock.None && c.now >= c.expiresAt.Add(e.leeway)
}

// decode reads claims, unless peekExpiry read them. The error says that
// the payload is not a strict JSON object; claims of the wrong form are noted in
// the parsedClaims.
func (c *parsedClaims) decode(payload []byte, tree []strictjson.Member, now clock.Instant) error {
	if c.payload == nil {
		c.reset(payload, tree, now)
		c.plain = strictjson.ReadFast(c.payload, c.tree, c)
	}
	if c.now = now; !c.plain {
		c.reset(payload, tree, now)
		if err := strictjson.ReadTree(payload, tree, c); err != nil {
			return &Error{Check: "payload", Want: "a strict JSON object", Err: ErrMalformed, Cause: err}
		}
	}
	if c.expiresAt == clock.None {
		c.note(fieldExpiresAt, "none")
	}
	if len(c.get(fieldTenant)) == 0 {
		c.note(fieldTenant, "none")
	}
	return nil
}

func (c *parsedClaims) reset(payload []byte, tree []strictjson.Member, now clock.Instant) {
	*c = parsedClaims{payload: payload, expiresAt: clock.None, notBefore: clock.None, issuedAt: clock.None,
		now: now, tree: tree, lists: c.lists[:0]}
}

// note records that a claim does not have its form; the first word on it stays.
func (c *parsedClaims) note(field claimField, got string) {
	if c.wrong == nil {
		c.wrong = make(map[claimField]string)
	}
	if _, noted := c.wrong[field]; !noted {
		c.wrong[field] = got
	}
}

// Object is told the end of an object that has claims inside.
func (c *parsedClaims) Object(m *strictjson.Member) {
	if m.Name == "cnf" && len(c.get(fieldConfirmation)) == 0 {
		// Bound to something else (RFC 7800 §3.1), of which there will be no
		// proof: not a bearer token.
		c.note(fieldConfirmation, "an object without it")
	}
}

// notObject notes v for all claims that should have been inside of it.
func (c *parsedClaims) notObject(tree []strictjson.Member, v []byte) {
	for _, m := range tree {
		if m.Inner != nil {
			c.notObject(m.Inner, v)
		} else if string(v) != "null" || !claimForms[m.Field].optional {
			c.note(claimField(m.Field), strictjson.KindName(jsontext.Value(v))+" around it")
		}
	}
}

// Value stores one claim that is not a string.
func (c *parsedClaims) Value(m *strictjson.Member, v []byte) {
	if m.Inner != nil {
		c.notObject(m.Inner, v)
		return
	}
	field := claimField(m.Field)
	if string(v) == "null" && claimForms[field].optional {
		return
	}
	ok := false
	switch field {
	case fieldExpiresAt:
		c.expiresAt, ok = clock.NumericDate(v)
	case fieldNotBefore:
		c.notBefore, ok = clock.NumericDate(v)
	case fieldIssuedAt:
		c.issuedAt, ok = clock.NumericDate(v)
	case fieldAudience, fieldRole:
		start := len(c.lists)
		if c.lists, ok = strictjson.AppendStrings(c.lists, v); ok {
			c.texts[field-firstText] = c.lists[start:]
		}
	}
	if ok {
		return
	}
	got := strictjson.KindName(jsontext.Value(v))
	if field < firstText && clock.IsNumber(v) {
		got = "a number out of range"
	}
	c.note(field, got)
}

// Text stores one claim that is a string.
func (c *parsedClaims) Text(number int, s []byte) {
	field := claimField(number)
	switch field {
	case fieldExpiresAt, fieldNotBefore, fieldIssuedAt:
		c.note(field, "a string")
		return
	case fieldAudience, fieldRole:
		start := len(c.lists)
		c.lists = strictjson.AppendToList(c.lists, s)
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

// parsedToken is a token in its parts, none of them verified. It comes from a pool
// with room for all that is decoded on the way, and goes back to it: nothing in
// it may be used after release.
type parsedToken struct {
	jose.Segments
	token   string
	header  *jose.Header
	known   bool // the header is already remembered
	payload []byte
	sig     []byte
	claims  parsedClaims

	// room takes the signature, the payload and the signing input. It is empty,
	// and grows with the longest token that it was for.
	room []byte
}

var parsedPool = sync.Pool{New: func() any { return new(parsedToken) }}

func (v *Verifier) take(token string) *parsedToken {
	t := parsedPool.Get().(*parsedToken)
	t.token = token
	return t
}

func (t *parsedToken) release() {
	t.Segments, t.token, t.header, t.known = jose.Segments{}, "", nil, false
	t.payload, t.sig, t.claims = nil, nil, parsedClaims{lists: t.claims.lists}
	parsedPool.Put(t)
}

// read takes the token apart and applies all rules that need no key.
func (v *Verifier) read(t *parsedToken) (err error) {
	if err := jose.CheckSize(t.token); err != nil {
		return joseErr(err)
	}
	if t.Segments, err = jose.Split(t.token); err != nil {
		return joseErr(err)
	}
	t.room = slices.Grow(t.room, 2*len(t.token))
	if t.header, t.known = v.headers.Get(t.Segments.Header); !t.known {
		if t.header, err = jose.DecodeHeader(t.Segments.Header); err != nil {
			return joseErr(err)
		}
		if err := firstFailure(headerRules, t.header, v.policy); err != nil {
			return withKeyID(err, t.header.Kid)
		}
	}
	return withKeyID(joseErr(t.decode()), t.header.Kid)
}

// decode undoes the base64url of the signature and of the payload.
func (t *parsedToken) decode() (err error) {
	if t.sig, err = jose.DecodeSegment(t.room, t.Signature, "signature"); err != nil {
		return err
	}
	t.payload, err = jose.DecodeSegment(t.sig[len(t.sig):], t.Segments.Payload, "payload")
	return err
}

// input returns the signing input, in a form that the standard library takes.
func (t *parsedToken) input() []byte {
	return append(t.payload[len(t.payload):], t.SigningInput...)
}

// verifiedBy finds the key of the set, which may be nil, that signed t. The error is
// ErrUnknownKey when the set has no key that the token can mean.
func (t *parsedToken) verifiedBy(keys *keyring.Set) (*jose.Key, error) {
	if keys == nil {
		return nil, withKeyID(&Error{Check: "key", Want: "a key set", Got: "none yet", Err: ErrUnknownKey}, t.header.Kid)
	}
	key, err := keys.Verify(t.header, t.input(), t.sig)
	return key, withKeyID(joseErr(err), t.header.Kid)
}

// checkClaims reads the claims into t and applies every rule to them.
func (v *Verifier) checkClaims(t *parsedToken, now clock.Instant) error {
	err := t.claims.decode(t.payload, v.tree, now)
	if err == nil {
		rules := claimRules
		if t.claims.wrong == nil {
			rules = valueRules
		}
		err = allFailures(rules, &t.claims, v.policy)
	}
	if err == nil && v.denied.version.Load() > 0 {
		if names := t.deniedNames(); v.denied.has(&names, t.claims.issuedAt, now) {
			err = errRevoked("this service")
		}
	}
	return withKeyID(err, t.header.Kid)
}
