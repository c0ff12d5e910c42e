package jose

// Key sets (RFC 7517): from JSON to public keys that are ready for use, and the
// lookup of the key that a token names.

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/persauth/persauth/internal/redact"
	"github.com/persauth/persauth/internal/strictjson"
)

// MaxKeySetSize bounds a key set, in bytes.
const MaxKeySetSize = 1 << 20

// Key is one usable key. All but what gone points to is immutable.
type Key struct {
	KeyInfo
	Public crypto.PublicKey
	Raw    jsontext.Value // as it stands in the set; nil where it came in none

	// gone is set when a refresh no longer brings this key. Tokens that were
	// verified with it are void from then on. One key has one gone, in every set
	// that it stays in.
	Retired *atomic.Bool
}

// Fits reports whether the key may check signatures of the algorithm.
func (k *Key) Fits(alg *Algorithm) bool { return slices.Contains(k.Algorithms, alg.name) }

// sameAs reports whether the two are one key, under one name, for one use.
func (k *Key) sameAs(other *Key) bool {
	return k.HasID == other.HasID && k.KeyID == other.KeyID && k.Thumbprint == other.Thumbprint &&
		slices.Equal(k.Algorithms, other.Algorithms)
}

// KeyInfo describes a key of a key set.
type KeyInfo struct {
	Position   int      // in the "keys" array, from 0
	KeyID      string   // its "kid", which may be empty
	HasID      bool     // it has one
	Type       string   // its "kty" with the curve or the length, such as "RSA 2048"
	Algorithms []string // that it may be used for
	Thumbprint string   // SHA-256 (RFC 7638), in base64url
	Problem    string   // why it cannot be used; empty for a good one
}

// KeySet is a key set, ready for lookups that do not slow down with its size.
// It is immutable.
type KeySet struct {
	Keys    []*Key
	byID    map[string][]*Key
	byAlg   map[string][]*Key
	Skipped []KeyInfo // what could not be used, and why
	Body    []byte    // the JSON that it was read from
}

func NewKeySet(keys []*Key, skipped []KeyInfo, body []byte) *KeySet {
	x := &KeySet{
		Keys:    keys,
		byID:    make(map[string][]*Key, len(keys)),
		byAlg:   make(map[string][]*Key),
		Skipped: skipped,
		Body:    body,
	}
	for _, key := range keys {
		if key.HasID {
			x.byID[key.KeyID] = append(x.byID[key.KeyID], key)
		}
		for _, alg := range key.Algorithms {
			x.byAlg[alg] = append(x.byAlg[alg], key)
		}
	}
	return x
}

// InspectKeySet reads a JWK Set and describes each of its keys, in order, with
// what is wrong with those that cannot be used. The error says that jwks is no
// JWK Set at all.
func InspectKeySet(jwks []byte) ([]KeyInfo, error) {
	entries, err := splitSet(jwks)
	if err != nil {
		return nil, err
	}
	infos := make([]KeyInfo, len(entries))
	for i, entry := range entries {
		infos[i] = ParseKey(i, entry).KeyInfo
	}
	return infos, nil
}

// ParseKeySet reads a JWK Set. A key that cannot be used is skipped and reported;
// a set without a single usable key is an error.
func ParseKeySet(jwks []byte) (*KeySet, error) {
	entries, err := splitSet(jwks)
	if err != nil {
		return nil, err
	}
	var keys []*Key
	var skipped []KeyInfo
	for i, entry := range entries {
		if key := ParseKey(i, entry); key.Problem == "" {
			key.Raw = bytes.Clone(entry) // it outlives the set that it came in
			keys = append(keys, key)
		} else {
			skipped = append(skipped, key.KeyInfo)
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("no usable key in the set%s", problems(skipped))
	}
	return NewKeySet(keys, skipped, jwks), nil
}

// problems lists why keys were skipped, for an error.
func problems(skipped []KeyInfo) string {
	const most = 3
	var b strings.Builder
	for i, k := range skipped {
		if i == most {
			fmt.Fprintf(&b, "; and %d more", len(skipped)-most)
			break
		}
		fmt.Fprintf(&b, "; key %d (kid %s): %s", k.Position, redact.Quote(k.KeyID), k.Problem)
	}
	return strings.Replace(b.String(), "; ", ": ", 1)
}

// splitSet takes the keys out of a set, each still JSON. Duplicate members are
// left for ParseKey, so that one bad key does not spoil its neighbours.
func splitSet(jwks []byte) ([]jsontext.Value, error) {
	if len(jwks) > MaxKeySetSize {
		return nil, fmt.Errorf("the key set is larger than %d bytes", MaxKeySetSize)
	}
	var keys []jsontext.Value
	var wrong error
	found, bare := false, false
	err := strictjson.Read(jwks, func(dec *jsontext.Decoder) error {
		if dec.PeekKind() != '{' {
			wrong = errors.New("the key set is not a JSON object")
			return wrong
		}
		return strictjson.EachMember(dec, jwks, func(name string, value jsontext.Value) {
			switch {
			case name == "kty":
				bare = true
			case name != "keys":
			case found:
				wrong = errors.New(`the key set has "keys" twice`)
			case value.Kind() != '[':
				wrong = errors.New(`"keys" in the key set is not an array`)
			default:
				found = true
				keys = strictjson.Elements(value)
			}
		})
	}, jsontext.AllowDuplicateNames(true))
	switch {
	case wrong != nil:
		return nil, wrong
	case err != nil:
		return nil, fmt.Errorf("the key set is %w", strictjson.Error(err))
	case !found && bare:
		return nil, errors.New(`a JWK, not a JWK Set: put it into {"keys": […]}`)
	case !found:
		return nil, errors.New(`the key set has no "keys"`)
	}
	return keys, nil
}

// ParseKey reads one JWK. It always returns a key; one that cannot be used has a
// Problem.
func ParseKey(position int, raw jsontext.Value) *Key {
	key := &Key{Retired: new(atomic.Bool)}
	key.Position = position
	var m jwkMembers
	if err := strictjson.Members(raw, m.take); err != nil {
		key.Problem = "it is " + err.Error()
		return key
	}
	key.Type = m.kty.value
	key.KeyID, key.HasID = m.kid.value, m.kid.given
	if err := key.read(&m); err != nil {
		key.Problem = err.Error()
		key.Algorithms = nil
	}
	return key
}

func (k *Key) read(m *jwkMembers) error {
	// What must not be published comes first: a key that is known to be out
	// must not be trusted, whatever else is right with it.
	if m.kty.value == "oct" || m.symmetric {
		return errors.New("it is symmetric: it cannot be public")
	}
	if m.private {
		return errors.New("it is a private key: publish its public part only, and replace it")
	}
	if err := k.build(m); err != nil {
		return err
	}
	return k.allow(m)
}

// allow finds the algorithms that the key is for: those of its type, or of
// these only the one that it names (RFC 7517 §4.4).
func (k *Key) allow(m *jwkMembers) error {
	for _, name := range AlgorithmNames {
		if Algorithms[name].Takes(k.Public) && (!m.alg.given || m.alg.value == name || ed25519Name(m.alg.value) == name) {
			k.Algorithms = append(k.Algorithms, name)
		}
	}
	if len(k.Algorithms) == 0 {
		return fmt.Errorf(`its "alg" %s is not one for this key`, redact.Quote(m.alg.value))
	}
	return nil
}

// ed25519Name returns EdDSA for Ed25519, the name that says which curve is meant
// (RFC 9864 §2.2). Keys are published under either.
func ed25519Name(alg string) string {
	if alg == "Ed25519" {
		return "EdDSA"
	}
	return alg
}

// CarryOver makes x, which nobody uses yet, the successor of before: keys that stay
// share their gone, and those that do not are marked as gone by leave.
func (x *KeySet) CarryOver(before *KeySet) (leave func()) {
	old := make(map[string][]*Key, len(before.Keys))
	for _, key := range before.Keys {
		old[key.Thumbprint] = append(old[key.Thumbprint], key)
	}
	stays := make(map[*atomic.Bool]bool, len(x.Keys))
	for _, key := range x.Keys {
		if i := slices.IndexFunc(old[key.Thumbprint], key.sameAs); i >= 0 {
			key.Retired = old[key.Thumbprint][i].Retired
			stays[key.Retired] = true
		}
	}
	return func() {
		for _, key := range before.Keys {
			if !stays[key.Retired] {
				key.Retired.Store(true)
			}
		}
	}
}

// candidates returns the keys that the header may mean: those of its "kid" that
// fit its algorithm. known is false when the set has no key of that "kid", or,
// for a token without one, not exactly one key that fits.
func (x *KeySet) candidates(h *Header) (keys []*Key, known bool) {
	if !h.HasKid {
		keys = x.byAlg[h.Alg]
		return keys, len(keys) == 1
	}
	keys = x.byID[h.Kid]
	known = len(keys) > 0
	if known && !slices.ContainsFunc(keys, func(k *Key) bool { return !k.Fits(h.Algorithm) }) {
		return keys, known
	}
	// One kid for several keys: those that fit. slices.DeleteFunc needs a copy.
	return slices.DeleteFunc(slices.Clone(keys), func(k *Key) bool { return !k.Fits(h.Algorithm) }), known
}

// Verify finds the key of the set that signed input. The error is a *Error: of
// UnknownKey when the set has no key that the header can mean. This is where the
// algorithm is bound to the key (RFC 8725 §3.1): only keys that are for the header's
// algorithm are tried.
func (x *KeySet) Verify(h *Header, input, signature []byte) (*Key, error) {
	if h.Algorithm == nil {
		return nil, &Error{Kind: UnknownKey, Check: "key", Want: "a public key", Got: "a symmetric algorithm, which only PERS can check"}
	}
	keys, known := x.candidates(h)
	if !known {
		return nil, x.unknownKey(h)
	}
	if len(keys) == 0 {
		return nil, &Error{Kind: WrongAlgorithm, Check: "alg", Want: "one of " + strings.Join(x.byID[h.Kid][0].Algorithms, ", ") +
			", which the key is for", Got: redact.Quote(h.Alg)}
	}
	for _, key := range keys {
		if !h.Algorithm.Verify(key.Public, input, signature) {
			continue
		}
		if key.Retired.Load() {
			// It left while we looked: ask the set that has come instead.
			return nil, x.unknownKey(h)
		}
		return key, nil
	}
	return nil, &Error{Kind: BadSignature, Check: "signature", Want: "one by the key that the token names", Got: "another"}
}

func (x *KeySet) unknownKey(h *Header) error {
	e := &Error{Kind: UnknownKey, Check: "key", Want: fmt.Sprintf("one of the %d keys held", len(x.Keys)), Got: "another kid"}
	if !h.HasKid {
		e.Want, e.Got = "a kid, or exactly one key for "+h.Alg, fmt.Sprintf("no kid, and %d keys for it", len(x.byAlg[h.Alg]))
	}
	return e
}
