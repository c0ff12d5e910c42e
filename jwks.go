package persauth

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
)

// maxSetSize bounds a key set, in bytes.
const maxSetSize = 1 << 20

// publicKey is one usable key. All but what gone points to is immutable.
type publicKey struct {
	KeyInfo
	public crypto.PublicKey
	raw    jsontext.Value // as it stands in the set; nil where it came in none

	// gone is set when a refresh no longer brings this key. Tokens that were
	// verified with it are void from then on. One key has one gone, in every set
	// that it stays in.
	gone *atomic.Bool
}

// fits reports whether the key may check signatures of the algorithm.
func (k *publicKey) fits(alg *algorithm) bool { return slices.Contains(k.Algorithms, alg.name) }

// sameAs reports whether the two are one key, under one name, for one use.
func (k *publicKey) sameAs(other *publicKey) bool {
	return k.hasID == other.hasID && k.KeyID == other.KeyID && k.Thumbprint == other.Thumbprint &&
		slices.Equal(k.Algorithms, other.Algorithms)
}

// KeyInfo describes a key of a key set.
type KeyInfo struct {
	// Position is the key's place in the "keys" array, from 0.
	Position int `json:"position"`
	// KeyID is the key's "kid", which may be empty.
	KeyID string `json:"keyId"`
	// Type is the key's "kty", with the curve or the length: "RSA 2048",
	// "EC P-256", "OKP Ed25519".
	Type string `json:"type"`
	// Algorithms are the algorithms that the key may be used for.
	Algorithms []string `json:"algorithms,omitempty"`
	// Thumbprint is the key's SHA-256 thumbprint (RFC 7638) in base64url.
	Thumbprint string `json:"thumbprint,omitempty"`
	// Problem says why the key cannot be used. It is empty for a good key.
	Problem string `json:"problem,omitempty"`

	hasID bool
}

// keyIndex is a key set, ready for lookups that do not slow down with its size.
// It is immutable.
type keyIndex struct {
	keys    []*publicKey
	byID    map[string][]*publicKey
	byAlg   map[string][]*publicKey
	skipped []KeyInfo // what could not be used, and why
	body    []byte    // the JSON that it was read from
}

func newKeyIndex(keys []*publicKey, skipped []KeyInfo, body []byte) *keyIndex {
	x := &keyIndex{
		keys:    keys,
		byID:    make(map[string][]*publicKey, len(keys)),
		byAlg:   make(map[string][]*publicKey),
		skipped: skipped,
		body:    body,
	}
	for _, key := range keys {
		if key.hasID {
			x.byID[key.KeyID] = append(x.byID[key.KeyID], key)
		}
		for _, alg := range key.Algorithms {
			x.byAlg[alg] = append(x.byAlg[alg], key)
		}
	}
	return x
}

// InspectKeys reads a JWK Set and describes each of its keys, in order, with
// what is wrong with those that cannot be used. The error says that jwks is no
// JWK Set at all.
func InspectKeys(jwks []byte) ([]KeyInfo, error) {
	entries, err := splitSet(jwks)
	if err != nil {
		return nil, err
	}
	infos := make([]KeyInfo, len(entries))
	for i, entry := range entries {
		infos[i] = readKey(i, entry).KeyInfo
	}
	return infos, nil
}

// parseKeys reads a JWK Set. A key that cannot be used is skipped and reported;
// a set without a single usable key is an error.
func parseKeys(jwks []byte) (*keyIndex, error) {
	entries, err := splitSet(jwks)
	if err != nil {
		return nil, err
	}
	var keys []*publicKey
	var skipped []KeyInfo
	for i, entry := range entries {
		if key := readKey(i, entry); key.Problem == "" {
			key.raw = bytes.Clone(entry) // it outlives the set that it came in
			keys = append(keys, key)
		} else {
			skipped = append(skipped, key.KeyInfo)
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("no usable key in the set%s", problems(skipped))
	}
	return newKeyIndex(keys, skipped, jwks), nil
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
		fmt.Fprintf(&b, "; key %d (kid %s): %s", k.Position, quoted(k.KeyID), k.Problem)
	}
	return strings.Replace(b.String(), "; ", ": ", 1)
}

// splitSet takes the keys out of a set, each still JSON. Duplicate members are
// left for readKey, so that one bad key does not spoil its neighbours.
func splitSet(jwks []byte) ([]jsontext.Value, error) {
	if len(jwks) > maxSetSize {
		return nil, fmt.Errorf("the key set is larger than %d bytes", maxSetSize)
	}
	var keys []jsontext.Value
	var wrong error
	found, bare := false, false
	err := readJSON(jwks, func(dec *jsontext.Decoder) error {
		if dec.PeekKind() != '{' {
			wrong = errors.New("the key set is not a JSON object")
			return wrong
		}
		return eachMember(dec, jwks, func(name string, value jsontext.Value) {
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
				keys = elementsOf(value)
			}
		})
	}, jsontext.AllowDuplicateNames(true))
	switch {
	case wrong != nil:
		return nil, wrong
	case err != nil:
		return nil, fmt.Errorf("the key set is %w", withoutContent(err))
	case !found && bare:
		return nil, errors.New(`a JWK, not a JWK Set: put it into {"keys": […]}`)
	case !found:
		return nil, errors.New(`the key set has no "keys"`)
	}
	return keys, nil
}

// readKey reads one JWK. It always returns a key; one that cannot be used has a
// Problem.
func readKey(position int, raw jsontext.Value) *publicKey {
	key := &publicKey{gone: new(atomic.Bool)}
	key.Position = position
	var m jwkMembers
	if err := strictMembers(raw, m.take); err != nil {
		key.Problem = "it is " + err.Error()
		return key
	}
	key.Type = m.kty.value
	key.KeyID, key.hasID = m.kid.value, m.kid.given
	if err := key.read(&m); err != nil {
		key.Problem = err.Error()
		key.Algorithms = nil
	}
	return key
}

func (k *publicKey) read(m *jwkMembers) error {
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
func (k *publicKey) allow(m *jwkMembers) error {
	for _, name := range algorithmNames {
		if algorithms[name].takes(k.public) && (!m.alg.given || m.alg.value == name || ed25519Name(m.alg.value) == name) {
			k.Algorithms = append(k.Algorithms, name)
		}
	}
	if len(k.Algorithms) == 0 {
		return fmt.Errorf(`its "alg" %s is not one for this key`, quoted(m.alg.value))
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

// follow makes x, which nobody uses yet, the successor of before: keys that stay
// share their gone, and those that do not are marked as gone by leave.
func (x *keyIndex) follow(before *keyIndex) (leave func()) {
	old := make(map[string][]*publicKey, len(before.keys))
	for _, key := range before.keys {
		old[key.Thumbprint] = append(old[key.Thumbprint], key)
	}
	stays := make(map[*atomic.Bool]bool, len(x.keys))
	for _, key := range x.keys {
		if i := slices.IndexFunc(old[key.Thumbprint], key.sameAs); i >= 0 {
			key.gone = old[key.Thumbprint][i].gone
			stays[key.gone] = true
		}
	}
	return func() {
		for _, key := range before.keys {
			if !stays[key.gone] {
				key.gone.Store(true)
			}
		}
	}
}

// candidates returns the keys that the header may mean: those of its "kid" that
// fit its algorithm. known is false when the set has no key of that "kid", or,
// for a token without one, not exactly one key that fits.
func (x *keyIndex) candidates(h *header) (keys []*publicKey, known bool) {
	if !h.hasKid {
		keys = x.byAlg[h.alg]
		return keys, len(keys) == 1
	}
	keys = x.byID[h.kid]
	known = len(keys) > 0
	if known && !slices.ContainsFunc(keys, func(k *publicKey) bool { return !k.fits(h.algorithm) }) {
		return keys, known
	}
	// One kid for several keys: those that fit. slices.DeleteFunc needs a copy.
	return slices.DeleteFunc(slices.Clone(keys), func(k *publicKey) bool { return !k.fits(h.algorithm) }), known
}
