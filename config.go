package persauth

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/persauth/persauth/internal/jose"
	"github.com/persauth/persauth/internal/keyring"
	"github.com/persauth/persauth/internal/persapi"
	"github.com/persauth/persauth/internal/redact"
)

// NoLeeway, as [Config.Leeway], allows no difference between clocks at all.
const NoLeeway time.Duration = -1

// NoCalls, as [Config.UnknownKeyCallsPerHour], never asks PERS about a token whose key is
// not held.
const NoCalls = -1

const (
	defaultLeeway          = 30 * time.Second
	maxLeeway              = 10 * time.Minute
	defaultSoftAge         = 15 * time.Minute
	defaultHardAge         = 24 * time.Hour
	defaultUnknownInterval = 30 * time.Second
	defaultTimeout         = 5 * time.Second
	defaultCacheTokens     = 10_000
	longestBackoff         = 30 * time.Second
	longestSpread          = 2 * time.Minute // of many instances
	// Together with the refreshes of keys these stay under the 10,000 calls an
	// hour that PERS allows to a project key: with RemoteAlgorithms, what they get
	// is taken from revocation.
	defaultUnknownKeyCalls      = 1800
	defaultRemoteAlgorithmCalls = 1800
	defaultRevocationCalls      = 7200
	maxInstances                = 10_000
)

// Config says what a [Verifier] expects of tokens, and where keys come from.
// Its zero value is the strict one in all but the source of keys: set ProjectKey
// or Keys, or both.
type Config struct {
	// ProjectKey is the tenant's project key (x-project-key). With it, keys
	// are fetched from PERS. Without it no connection is ever opened.
	ProjectKey string
	// BaseURL is where the PERS API is. Default https://api.pers.ninja/v2.
	// Plain http is taken for loopback addresses only.
	BaseURL string
	// Keys are keys that come with the service. Together with ProjectKey they
	// are the seed: used at once, until PERS has answered. A seed that `persauth
	// jwks fetch` wrote says when that was. Where that is KeyHardAge ago or longer,
	// tokens wait for PERS for up to a second after the first one, so that a key
	// that left long ago does not come back at each start. A seed without a date
	// counts as new.
	Keys KeySource
	// Snapshot is the path of a file that keeps the last good key set from
	// PERS for the next start. It is written atomically with mode 0600, and
	// only used for the project key and address that it was written for. [New]
	// refuses one whose folder does not exist. Empty: none is kept.
	Snapshot string
	// Offline opens no connection, whatever else is set.
	Offline bool

	// Issuer is what "iss" must be (RFC 7519 §4.1.1). Empty: any.
	Issuer string
	// Audience must be in "aud" (RFC 7519 §4.1.3). Empty: any.
	Audience string
	// Tenants are the tenants whose tokens are accepted. Empty: any tenant
	// that the keys sign for.
	Tenants []string
	// AuthTypes are the kinds of callers whose tokens are accepted at all, by
	// their "authType". Empty: any, and tokens that do not say. Where PERS gives
	// user tokens to people that nobody authenticated, as it does for tenants
	// with allowJWTForUnauthenticatedUsers, a service that is not for them leaves
	// out [AuthUser].
	AuthTypes []AuthType
	// TenantEvidence says which tokens are the tenant's own, beside those with
	// the "authType" "tenant". Only in these does a role count as the tenant's.
	TenantEvidence TenantEvidence
	// TokenKinds are the kinds of tokens that are accepted, by the claim that
	// [ClaimNames.Kind] names, where a token has one. Empty: all but refresh
	// tokens, which are never accepted.
	TokenKinds []string
	// Algorithms are the values of "alg" that are accepted. Empty: RS256,
	// RS384, RS512, ES256, ES384, ES512, PS256, PS384, PS512 and EdDSA. A key
	// may narrow them down further, never widen them.
	Algorithms []string
	// TokenTypes are the values of "typ" that are accepted, where a token has
	// one. Empty: "JWT" and "at+jwt" (RFC 9068 §2.1).
	TokenTypes []string
	// ClaimNames says where the claims of PERS are in a token.
	ClaimNames ClaimNames
	// Leeway is how far clocks may differ, for "exp", "nbf" and "iat".
	// Default 30 s, at most 10 min; [NoLeeway] for none.
	Leeway time.Duration

	// KeySoftAge is the age at which keys from PERS are refreshed in the
	// background. Default 15 min, or what the answer says: Cache-Control's max-age
	// less Age, between 1 min and 24 h. Where KeySoftAge is set, the smaller of the
	// two counts.
	KeySoftAge time.Duration
	// KeyHardAge is the age at which keys from PERS are used no longer.
	// Default 24 h.
	KeyHardAge time.Duration
	// UnknownKeyInterval is the shortest time between two refreshes that
	// tokens with unknown key ids cause, of all Instances together. Default 30 s.
	UnknownKeyInterval time.Duration
	// Timeout bounds one request to PERS, and all that one caller waits for
	// PERS: for keys and for a verdict together. Default 5 s.
	Timeout time.Duration

	// Revocation says when PERS is asked whether a token was revoked. The zero
	// value is [RevocationAuto].
	Revocation RevocationPolicy
	// RemoteAlgorithms are symmetric algorithms, of HS256, HS384 and HS512,
	// whose tokens are sent to PERS to be checked. No public key can check
	// them. Empty: such tokens are refused.
	//
	// WARNING: anyone can write such a token, and nothing about it can be checked
	// before PERS is asked. One forged token every two seconds uses up the calls
	// that are for these tokens; new callers with good ones then get
	// [ErrUnavailable], though those who were accepted before are not concerned.
	// Prefer tokens with a public key wherever there is a choice.
	RemoteAlgorithms []string
	// Instances is how many instances share the project key: replicas, regions,
	// functions, and other services of the tenant that use this package. The
	// calls below are divided by it, and refreshes of the keys for unknown key ids
	// are spaced by it, because PERS allows 10,000 calls of any kind in an hour to
	// all that use one project key. Default 1.
	Instances int
	// Fleet is the state that all instances share, on Valkey or Redis: the calls
	// below are leased from it and not divided by Instances, what [Verifier.Revoke]
	// says counts everywhere, an answer of PERS serves all, and a proof is taken
	// once. See package fleet. nil: each instance is alone.
	Fleet Fleet
	// UnknownKeyCallsPerHour, RemoteAlgorithmCallsPerHour and
	// RevocationCallsPerHour are how many calls of /auth/verify are made in an
	// hour at most, by all instances together: about tokens whose key is not at
	// hand, about those of RemoteAlgorithms, and about whether tokens were
	// revoked. A minute's worth may come at once. One subject (tenant and "sub")
	// takes an eighth of each at most, though at least one call a minute.
	//
	// Default 1,800, 1,800 and 7,200; with RemoteAlgorithms 5,400 in place of
	// 7,200. With UnknownKeyCallsPerHour set to [NoCalls] a token whose key is not
	// held is refused with [ErrUnknownKey], and never leaves the process.
	UnknownKeyCallsPerHour, RemoteAlgorithmCallsPerHour, RevocationCallsPerHour int

	// CacheTokens is how many verified tokens are remembered at least; at most
	// about two and a half times as many are. Default 10,000. A remembered
	// token takes about its own length and half a kilobyte.
	CacheTokens int

	// TokenSources are the places where [Verifier.VerifyRequest] looks for a
	// token. A request with more than one token is refused. Empty: the
	// Authorization header alone.
	TokenSources []TokenSource
	// DPoP says which requests need a proof, and what it must be.
	DPoP DPoP
	// OnRefused answers the requests that the middleware of v refuses; it has to
	// write an answer, for nobody does after it. nil: [Verifier.WriteError] does.
	OnRefused func(v *Verifier, w http.ResponseWriter, r *http.Request, err error)
	// OnAccepted hears of each request that the middleware has authenticated,
	// before the guards and the handler, and on the request's goroutine: for an
	// access log further out, which cannot see the context that the handler gets.
	// It may be nil.
	OnAccepted func(r *http.Request, claims *Claims)
	// Resource describes the service to clients that look for how to get a token
	// (RFC 9728): see [Verifier.ResourceMetadata]. Challenges then say where the
	// description is. The zero value: there is none.
	Resource ProtectedResource

	// HTTPClient is used for requests to PERS. nil: a client with the default
	// transport. Redirects are never followed, to any host.
	HTTPClient *http.Client
	// InsecureAllowHTTP allows a BaseURL with plain http. Anyone on the way
	// can then read the project key and put in keys of their own.
	InsecureAllowHTTP bool
	// Now is the clock. nil: time.Now. It must be safe for concurrent use.
	Now func() time.Time
	// Logger hears of changes of state: keys that changed, refreshes that
	// begin to fail. It never hears of single requests. nil: nothing is logged,
	// except, once, to [slog.Default], that there are no keys and none can be
	// fetched: then every token is refused.
	Logger *slog.Logger
}

// noLogger is Logger where none is given.
var noLogger = slog.New(slog.DiscardHandler)

// defaults returns the Config with every default filled in.
func (c Config) defaults() Config {
	orDefault := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	orDefault(&c.Leeway, defaultLeeway)
	orDefault(&c.KeyHardAge, defaultHardAge)
	orDefault(&c.UnknownKeyInterval, defaultUnknownInterval)
	orDefault(&c.Timeout, defaultTimeout)
	if c.Leeway == NoLeeway {
		c.Leeway = 0
	}
	if len(c.Algorithms) == 0 {
		c.Algorithms = jose.AlgorithmNames
	}
	if len(c.TokenTypes) == 0 {
		c.TokenTypes = []string{"JWT", "at+jwt"}
	}
	revocationCalls := defaultRevocationCalls
	if len(c.RemoteAlgorithms) > 0 {
		revocationCalls -= defaultRemoteAlgorithmCalls
	}
	for _, n := range []struct {
		value *int
		usual int
	}{
		{&c.CacheTokens, defaultCacheTokens},
		{&c.Instances, 1},
		{&c.UnknownKeyCallsPerHour, defaultUnknownKeyCalls},
		{&c.RemoteAlgorithmCallsPerHour, defaultRemoteAlgorithmCalls},
		{&c.RevocationCallsPerHour, revocationCalls},
	} {
		if *n.value == 0 {
			*n.value = n.usual
		}
	}
	if c.TokenSources = slices.Clone(c.TokenSources); len(c.TokenSources) == 0 {
		c.TokenSources = []TokenSource{AuthorizationHeader()}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = noLogger
	}
	return c
}

// softAge is KeySoftAge, which has its default only here: where it is set, it is also
// the most that an answer may ask for.
func (c *Config) softAge() time.Duration { return cmp.Or(c.KeySoftAge, defaultSoftAge) }

// check returns all that is wrong with the Config, after defaults.
func (c *Config) check() error {
	var wrong []error
	fail := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	if c.Leeway < 0 || c.Leeway > maxLeeway {
		fail("Leeway is %v, not between 0 and %v", c.Leeway, maxLeeway)
	}
	if soft := c.softAge(); soft < time.Second || c.KeyHardAge < soft {
		fail("KeySoftAge is %v and KeyHardAge %v: want at least 1s, and the hard age not below the soft one", soft, c.KeyHardAge)
	}
	if c.UnknownKeyInterval < time.Second {
		fail("UnknownKeyInterval is %v, less than 1s", c.UnknownKeyInterval)
	}
	if c.Timeout < 0 {
		fail("Timeout is %v, which is negative", c.Timeout)
	}
	if c.CacheTokens < 0 || c.UnknownKeyCallsPerHour < NoCalls || c.RemoteAlgorithmCallsPerHour < 0 || c.RevocationCallsPerHour < 0 {
		fail("CacheTokens, UnknownKeyCallsPerHour, RemoteAlgorithmCallsPerHour and RevocationCallsPerHour must not be negative")
	}
	if c.Instances < 1 || c.Instances > maxInstances {
		fail("Instances is %d, not between 1 and %d", c.Instances, maxInstances)
	}
	if c.Revocation.maxAge < 0 || c.Revocation.grace < 0 {
		fail("Revocation has a negative time")
	}
	remote := c.ProjectKey != "" && !c.Offline
	if c.Revocation.mode == revocationEvery && !remote {
		fail("Revocation asks PERS about tokens: that needs ProjectKey, and not Offline")
	}
	if len(c.RemoteAlgorithms) > 0 && !remote {
		fail("RemoteAlgorithms are checked by PERS: that needs ProjectKey, and not Offline")
	}
	for _, alg := range c.RemoteAlgorithms {
		if !jose.Symmetric(alg) {
			fail("RemoteAlgorithms has %s, which is not one of HS256, HS384 and HS512", redact.Quote(alg))
		}
	}
	for _, alg := range c.Algorithms {
		if jose.Algorithms[alg] == nil {
			reason := "which is not one of " + fmt.Sprint(jose.AlgorithmNames)
			if jose.Symmetric(alg) {
				reason = "which is symmetric: no public key can check it"
			}
			fail("Algorithms has %s, %s", redact.Quote(alg), reason)
		}
	}
	for _, list := range []struct {
		name   string
		values []string
	}{
		{"Tenants", c.Tenants},
		{"TokenTypes", c.TokenTypes},
		{"TokenKinds", c.TokenKinds},
		{"AuthTypes", namesOf(c.AuthTypes)},
		{"TenantEvidence.AuthTypes", namesOf(c.TenantEvidence.AuthTypes)},
		{"TenantEvidence.TokenKinds", c.TenantEvidence.TokenKinds},
	} {
		if slices.Contains(list.values, "") {
			fail("%s has an empty entry: a missing setting, perhaps", list.name)
		}
	}
	if i := slices.IndexFunc(slices.Concat(c.TokenKinds, c.TenantEvidence.TokenKinds), namesRefresh[string]); i >= 0 {
		fail("TokenKinds names a refresh token: they are for POST /auth/refresh, and never accepted here")
	}
	if bad := slices.IndexFunc(c.TenantEvidence.AuthTypes, func(t AuthType) bool { return t == AuthBusiness || t == AuthUser || t == AuthExternal }); bad >= 0 {
		fail("TenantEvidence.AuthTypes has %s, which is not the tenant's", redact.Quote(string(c.TenantEvidence.AuthTypes[bad])))
	}
	names := make(map[string]bool, len(c.TokenSources))
	for _, source := range c.TokenSources {
		if source.find == nil {
			fail("TokenSources has an entry without a name: a missing setting, perhaps")
		} else if names[source.name] {
			fail("TokenSources has the %s twice: every token there would be one too many", source.name)
		}
		names[source.name] = true
	}
	if err := persapi.CheckProjectKey(c.ProjectKey); err != nil {
		wrong = append(wrong, err)
	}
	if err := keyring.CheckFolder(c.Snapshot); err != nil {
		wrong = append(wrong, err)
	}
	if c.Snapshot != "" && c.ProjectKey == "" {
		fail("Snapshot needs ProjectKey: it keeps the keys of that tenant; for keys that come with the service use Keys: FileKeys(…)")
	}
	if c.Keys == nil && c.ProjectKey == "" {
		fail("no source of keys: set ProjectKey for keys from PERS, or Keys for keys that come with the service")
	} else if c.Keys == nil && c.Offline && c.Snapshot == "" {
		fail("no source of keys: with Offline set, Keys or Snapshot must be")
	}
	return errors.Join(wrong...)
}

// claimPolicy returns the part of the Config that tokens are held against.
func (c *Config) claimPolicy() *claimPolicy {
	e := &claimPolicy{
		algorithms:     setOf(c.Algorithms),
		algorithmNames: strings.Join(c.Algorithms, ", "),
		types:          make(map[string]bool, len(c.TokenTypes)),
		typeNames:      strings.Join(c.TokenTypes, ", "),
		issuer:         c.Issuer,
		audience:       c.Audience,
		leeway:         c.Leeway,
		remote:         setOf(c.RemoteAlgorithms),
	}
	if len(c.AuthTypes) > 0 {
		e.authTypes = setOf(namesOf(c.AuthTypes))
		e.authTypeNames = oneOf(namesOf(c.AuthTypes))
	}
	if len(c.TokenKinds) > 0 {
		e.kinds = setOf(c.TokenKinds)
		e.kindNames = oneOf(c.TokenKinds)
	}
	e.evidence.AuthTypes = append([]AuthType{AuthTenant}, c.TenantEvidence.AuthTypes...)
	e.evidence.TokenKinds = slices.Clone(c.TenantEvidence.TokenKinds)
	for _, typ := range c.TokenTypes {
		e.types[jose.MediaType(typ)] = true
	}
	if len(c.Tenants) > 0 {
		e.tenants = setOf(c.Tenants)
		e.tenantNames = oneOf(slices.Sorted(maps.Keys(e.tenants)))
	}
	return e
}

func namesOf(types []AuthType) []string {
	texts := make([]string, len(types))
	for i, t := range types {
		texts[i] = string(t)
	}
	return texts
}

func setOf(values []string) map[string]bool {
	set := make(map[string]bool, len(values))
	for _, value := range values {
		set[value] = true
	}
	return set
}

// callsPerHour returns how many calls this instance makes for each purpose.
func (c *Config) callsPerHour() (calls [purposes]float64) {
	for p, n := range [purposes]int{
		forUnknownKey:      c.UnknownKeyCallsPerHour,
		forRemoteAlgorithm: c.RemoteAlgorithmCallsPerHour,
		forRevocation:      c.RevocationCallsPerHour,
	} {
		calls[p] = float64(max(n, 0))
		if c.Fleet == nil { // which divides them as they are needed
			calls[p] /= float64(c.Instances)
		}
	}
	return calls
}

// spread makes an interval of all instances one of this instance, up to most.
func (c *Config) spread(interval, most time.Duration) time.Duration {
	if most = max(interval, most); interval > most/time.Duration(c.Instances) {
		return most
	}
	return interval * time.Duration(c.Instances)
}

// api returns the PERS API, or nil where nothing is to do with it.
func (c *Config) api() (*persapi.Client, error) {
	if c.ProjectKey == "" || c.Offline && c.Snapshot == "" {
		return nil, nil
	}
	return persapi.New(persapi.Settings{BaseURL: c.BaseURL, ProjectKey: c.ProjectKey, HTTPClient: c.HTTPClient, AllowHTTP: c.InsecureAllowHTTP, Now: c.Now})
}
