// Package persauthtest helps to test services that use persauth: an [Issuer]
// that signs tokens the way PERS does, good ones and bad ones, verifiers that
// take them without a network, and a [Server] that plays the PERS API and its
// faults. It is for tests only.
package persauthtest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/persauth/persauth"
)

// TB is the part of testing.TB that this package needs. A program that is no
// test can satisfy it too.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Cleanup(func())
}

// DefaultTenant is the tenant of tokens for which none is named.
const DefaultTenant = "550e8400-e29b-41d4-a716-446655440001"

// Issuer signs tokens as PERS does for one tenant. It is safe for concurrent
// use.
type Issuer struct {
	*issuerState
	// own are the options of the tokens of this one, made by With. nil: those of
	// the issuer.
	own *tokenOptions
}

// issuerState is what an issuer shares with those that With makes of it.
type issuerState struct {
	t     TB
	seed  string
	clock *Clock

	mu     sync.Mutex
	token  tokenOptions
	fixed  bool   // the options were given, or are those of the first verifier
	keys   []*Key // published, oldest first
	known  []*Key // all that PERS takes: published, retired and unpublished
	hidden *Key   // the unpublished key that signs next; nil until it is needed
	signer *Key
	secret []byte // for HS256
	unseen int    // unpublished keys so far, for their names
	made   int    // keys so far, for their names
	serial int    // tokens so far, for "jti"
}

// IssuerOption changes what [NewIssuer] makes.
type IssuerOption interface{ changeIssuer(*issuerOptions) }

type issuerOption func(*issuerOptions)

func (f issuerOption) changeIssuer(o *issuerOptions) { f(o) }

type issuerOptions struct {
	algorithms []string
	sources    []KeySource
	seed       string
	token      tokenOptions
}

// WithAlgorithms gives the issuer one key for each algorithm, in order. The
// first signs. Without this option there is one key, for ES256.
func WithAlgorithms(algorithms ...string) IssuerOption {
	return issuerOption(func(o *issuerOptions) { o.algorithms = algorithms })
}

// WithSeed makes the same keys at every run, for fixtures that must not change.
// Keys from a seed are no secret.
func WithSeed(seed string) IssuerOption {
	return issuerOption(func(o *issuerOptions) { o.seed = seed })
}

// NewIssuer makes an issuer with fresh keys.
func NewIssuer(t TB, options ...IssuerOption) *Issuer {
	t.Helper()
	var chosen issuerOptions
	for _, option := range options {
		option.changeIssuer(&chosen)
	}
	if chosen.algorithms == nil && chosen.sources == nil {
		chosen.algorithms = []string{"ES256"}
	}
	iss := &Issuer{issuerState: &issuerState{t: t, seed: chosen.seed, clock: new(Clock), token: chosen.token}}
	iss.secret = iss.derive("secret")
	for _, source := range chosen.sources {
		keys, err := source.keys()
		if err != nil {
			t.Fatalf("persauthtest: WithKeys: %v", err)
		}
		iss.keys, iss.known = append(iss.keys, keys...), append(iss.known, keys...)
	}
	for _, algorithm := range chosen.algorithms {
		iss.keys = append(iss.keys, iss.nextKey(algorithm))
	}
	if len(iss.keys) == 0 {
		t.Fatalf("persauthtest: an issuer needs at least one algorithm, or a key")
	}
	iss.signer = iss.keys[0]
	return iss
}

// nextKey makes the issuer's next key. The caller holds mu, or is the only one.
func (iss *Issuer) nextKey(algorithm string) *Key {
	iss.made++
	return iss.ownKey(fmt.Sprintf("test-key-%d", iss.made), algorithm)
}

// ownKey makes a key that PERS takes. The caller holds mu, or is the only one.
func (iss *Issuer) ownKey(id, algorithm string) *Key {
	key, err := NewKey(id, algorithm, iss.seed)
	if err != nil {
		iss.t.Fatalf("%v", err)
	}
	iss.known = append(iss.known, key)
	return key
}

// Clock is the issuer's clock, and that of the verifiers it makes.
func (iss *Issuer) Clock() *Clock { return iss.clock }

// Keys returns the published keys, oldest first.
func (iss *Issuer) Keys() []*Key {
	iss.mu.Lock()
	defer iss.mu.Unlock()
	return slices.Clone(iss.keys)
}

// Key returns the published key for an algorithm; the newest of several.
func (iss *Issuer) Key(algorithm string) *Key {
	for _, key := range slices.Backward(iss.Keys()) {
		if key.Algorithm == algorithm {
			return key
		}
	}
	var others []string
	for _, key := range iss.Keys() {
		others = append(others, key.Algorithm)
	}
	iss.t.Fatalf("persauthtest: the issuer has no key for %q, only for %s: add it with WithAlgorithms", algorithm, strings.Join(others, ", "))
	return nil
}

// JWKS returns the published keys as a JWK Set (RFC 7517 §5).
func (iss *Issuer) JWKS() []byte {
	set := struct {
		Keys []json.RawMessage `json:"keys"`
	}{Keys: []json.RawMessage{}}
	for _, key := range iss.Keys() {
		set.Keys = append(set.Keys, key.JWK())
	}
	return marshal(set)
}

// Rotate publishes a new key of the signer's algorithm and signs with it from
// now on. The old keys stay published until they are retired.
func (iss *Issuer) Rotate() *Key {
	iss.mu.Lock()
	defer iss.mu.Unlock()
	iss.signer = iss.nextKey(iss.signer.Algorithm)
	iss.keys = append(iss.keys, iss.signer)
	return iss.signer
}

// Retire takes keys out of the published set. Those who have only that set take
// their tokens no longer. A [Server] still does, when it is asked about one: see
// [Issuer.Forget].
func (iss *Issuer) Retire(keys ...*Key) {
	iss.mu.Lock()
	defer iss.mu.Unlock()
	iss.keys = slices.DeleteFunc(iss.keys, func(k *Key) bool { return slices.Contains(keys, k) })
}

// Token signs claims, a map or a struct that JSON can encode. What a token of
// PERS always has is filled in where it is missing: "sub", "tenantId", "jti",
// "iat", and an "exp" 15 minutes from now. A claim that is null is left out. nil
// claims are none of one's own.
func (iss *Issuer) Token(claims any) string {
	return iss.sign(iss.current(), nil, claims)
}

// TokenWithHeader is Token with changes to the header. A nil value takes a
// member out.
func (iss *Issuer) TokenWithHeader(header map[string]any, claims any) string {
	return iss.sign(iss.current(), header, claims)
}

// TokenBy is Token, signed with a key of one's choice: one of [NewKey] or of an
// issuer. The test fails for a Key literal, which has no private key.
func (iss *Issuer) TokenBy(key *Key, claims any) string {
	iss.t.Helper()
	return iss.sign(key, nil, claims)
}

func (iss *Issuer) current() *Key {
	iss.mu.Lock()
	defer iss.mu.Unlock()
	return iss.signer
}

func (iss *Issuer) sign(key *Key, header map[string]any, claims any) string {
	iss.t.Helper()
	if key == nil || key.private == nil {
		iss.t.Fatalf("persauthtest: the key cannot sign: it was not made by NewKey")
	}
	return key.Sign(key.header(merged(iss.tokenDefaults().header, header)), iss.payload(claims))
}

// members returns claims as a JSON object.
func (iss *Issuer) members(claims any) map[string]json.RawMessage {
	iss.t.Helper()
	raw, err := json.Marshal(claims)
	if err != nil {
		iss.t.Fatalf("persauthtest: claims: %v", err)
	}
	members := map[string]json.RawMessage{}
	if err := json.Unmarshal(raw, &members); err != nil {
		iss.t.Fatalf("persauthtest: claims must be a JSON object, and are %s", raw)
	}
	if members == nil {
		return map[string]json.RawMessage{} // claims are null
	}
	return members
}

// payload returns claims as JSON, with what every token has.
func (iss *Issuer) payload(claims any) []byte {
	iss.t.Helper()
	members := iss.members(claims)
	options := iss.tokenDefaults()
	iss.mu.Lock()
	iss.serial++
	serial := iss.serial
	iss.mu.Unlock()
	now := iss.clock.Now()
	usual := map[string]any{
		"sub":      "0b0e3c2e-6a57-4f0e-9d49-0f7b4d1f3a10",
		"tenantId": cmp.Or(options.tenant, DefaultTenant),
		"jti":      fmt.Sprintf("test-token-%d", serial),
		"iat":      now.Unix(),
		"exp":      now.Add(cmp.Or(options.lifetime, defaultLifetime)).Unix(),
	}
	if options.issuer != "" {
		usual["iss"] = options.issuer
	}
	if len(options.audience) > 0 {
		usual["aud"] = oneOrMany(options.audience)
	}
	for name, value := range merged(usual, options.claims) {
		if _, given := members[name]; !given {
			members[name] = marshal(value)
		}
	}
	for name, value := range members {
		if string(value) == "null" {
			delete(members, name)
		}
	}
	options.rename(members)
	return marshal(members)
}

// tokenDefaults are the options of a token that does not say otherwise.
func (iss *Issuer) tokenDefaults() tokenOptions {
	if iss.own != nil {
		return *iss.own
	}
	iss.mu.Lock()
	defer iss.mu.Unlock()
	return iss.token
}

// follow makes the issuer's tokens ones that a verifier with cfg takes. The first
// verifier decides; what the issuer was told itself stays.
func (iss *Issuer) follow(cfg persauth.Config) {
	iss.mu.Lock()
	defer iss.mu.Unlock()
	if iss.fixed {
		return
	}
	iss.fixed = true
	var wanted tokenOptions
	wanted.follow(cfg)
	o := &iss.token
	o.issuer, o.tenant = cmp.Or(o.issuer, wanted.issuer), cmp.Or(o.tenant, wanted.tenant)
	if o.audience == nil {
		o.audience = wanted.audience
	}
	if o.names == (persauth.ClaimNames{}) {
		o.names = wanted.names
	}
}

// Verifier makes a verifier that holds the keys published now and opens no
// connection. It goes by the issuer's [Clock]. Its Config can be changed first:
// what the first verifier wants of tokens, the issuer's tokens then have, as with
// [WithConfig].
func (iss *Issuer) Verifier(changes ...func(*persauth.Config)) *persauth.Verifier {
	iss.t.Helper()
	cfg := persauth.Config{Keys: persauth.StaticKeys(iss.JWKS()), Now: iss.clock.Now}
	for _, change := range changes {
		change(&cfg)
	}
	v, err := persauth.New(cfg)
	if err != nil {
		iss.t.Fatalf("persauthtest: %v", err)
	}
	iss.follow(cfg)
	iss.t.Cleanup(v.Close)
	return v
}
