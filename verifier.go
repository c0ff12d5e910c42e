package persauth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/persauth/persauth/internal/cache"
	"github.com/persauth/persauth/internal/clock"
	"github.com/persauth/persauth/internal/jose"
	"github.com/persauth/persauth/internal/keyring"
	"github.com/persauth/persauth/internal/strictjson"
)

// Verifier verifies PERS tokens. Make one with [New] and keep it: it is safe for
// concurrent use, and the keys and tokens that it remembers are what makes it
// fast. The zero value is not usable.
type Verifier struct {
	policy  *claimPolicy
	tree    []strictjson.Member
	keys    *keyring.Ring
	clocks  *clock.Clock
	tokens  *cache.Table[cachedToken]
	headers *cache.Bounded[*jose.Header] // by their segment: headers of tokens whose signature held

	introspector    *introspector // nil: PERS is not asked about tokens
	asksUnknownKeys bool          // PERS is asked about tokens whose key is not held
	revocation      RevocationPolicy
	denied          *denyList
	watch           watchers
	fleet           *fleetMember // nil: this instance is alone

	sources    []TokenSource
	proofs     *proofs
	resource   *describedResource // nil: the service is not described
	onRefused  func(*Verifier, http.ResponseWriter, *http.Request, error)
	onAccepted func(*http.Request, *Claims)

	verified atomic.Uint64
	refused  [1 + len(codes)]atomic.Uint64 // by place in codes; the last: others
}

// New makes a Verifier. It checks the whole Config and reports all that is wrong
// with it at once. It reads the files that are configured, and does no network
// I/O; the keys from PERS are fetched when the first token needs them, or by
// [Verifier.Warm].
func New(cfg Config) (*Verifier, error) {
	clocks := clock.New(cfg.Now)
	cfg = cfg.defaults()
	denied := newDenyList(clocks)
	tree, wrongNames := claimTree(cfg.ClaimNames)
	fleet, wrongFleet := cfg.member(clocks.Instant, denied)
	proofs, wrongDPoP := cfg.proofs(clocks, fleet)
	resource, wrongResource := cfg.resource(proofs)
	pers, wrongAPI := cfg.api()
	keys, wrongKeys := cfg.keyring(pers, fleet)
	if err := errors.Join(cfg.check(), wrongNames, wrongFleet, wrongDPoP, wrongResource, wrongAPI, wrongKeys); err != nil {
		return nil, fmt.Errorf("persauth: %w", err)
	}
	v := &Verifier{
		policy:     cfg.claimPolicy(),
		tree:       tree,
		keys:       keys,
		clocks:     clocks,
		tokens:     cache.NewTable(cfg.CacheTokens, (*cachedToken).token),
		headers:    cache.NewBounded[*jose.Header](cachedHeaders),
		revocation: cfg.Revocation,
		denied:     denied,
		fleet:      fleet,
		sources:    cfg.TokenSources,
		proofs:     proofs,
		resource:   resource,
		onRefused:  cfg.OnRefused,
		onAccepted: cfg.OnAccepted,
	}
	if pers != nil && !cfg.Offline {
		v.introspector = newIntrospector(pers, &cfg, v)
		v.asksUnknownKeys = cfg.UnknownKeyCallsPerHour != NoCalls
	}
	return v, nil
}

// Verify tells who the token was issued to. On any error the claims are nil.
//
// The error is one of the sentinels, for [errors.Is], and carries an [*Error].
// [ErrUnavailable] means that nobody can tell at the moment; then the caller of
// the service should get a 503, and a 401 for all others. Verify waits only for
// keys that it needs and does not hold, and for an answer of PERS that is needed
// and not remembered; and not longer than ctx.
//
// Verify sees a token alone. One that is bound to a key of the client (RFC 9449)
// is worth nothing without a proof, and is refused with [ErrProof]; under
// [DPoPRequired] so are all others. [Verifier.VerifyRequest] and
// [Verifier.VerifyCredentials] take both. A bound token also passes where ctx
// belongs to a request for which this Verifier has checked its proof.
func (v *Verifier) Verify(ctx context.Context, token string) (*Claims, error) {
	claims, err := v.VerifyWithoutProof(ctx, token)
	if err != nil {
		return nil, err
	}
	return v.withoutProof(ctx, token, claims)
}

// VerifyWithoutProof is [Verifier.Verify], and takes a token that is bound to a
// key of the client without its proof, whatever [DPoP] says. It is for a service
// behind one that checked the proof: by itself such a token does not say that the
// sender may use it. [Claims.Confirmation] tells a bound token.
func (v *Verifier) VerifyWithoutProof(ctx context.Context, token string) (*Claims, error) {
	now := v.clock()
	keys := v.keys.Held(now)
	r := v.lookup(token, keys, now)
	if r != nil && v.fresh(r, now) {
		return &r.claims, nil
	}
	return v.counted(v.verify(ctx, token, r, keys, now))
}

// verify answers for a token, of which r is remembered. r and keys may be nil.
func (v *Verifier) verify(ctx context.Context, token string, r *cachedToken, keys *keyring.Set, now clock.Instant) (*Claims, error) {
	if r != nil {
		return v.verifyCached(ctx, r, now)
	}
	t := v.take(token)
	defer t.release()
	return v.verifyUncached(ctx, t, keys, now, false)
}

// verifyCached decides on a token that was verified before. Its key and the deny list
// were looked at; what is left is how old the verdict of PERS on it is.
func (v *Verifier) verifyCached(ctx context.Context, r *cachedToken, now clock.Instant) (*Claims, error) {
	behind := v.fleet.behind(now)
	step := v.revocation.step(&r.claims, behind, now)
	if step != useToken && v.refusesBehind(now) {
		return nil, errBehind()
	}
	switch step {
	case useToken:
		return &r.claims, nil
	case refreshVerdict:
		return v.refreshVerdict(r, now)
	case askElseGrace:
		return v.askElseGrace(ctx, r, behind, now)
	}
	if r.claims.key == nil { // PERS alone knew it: its key may have come in the meantime
		t := v.take(r.token())
		defer t.release()
		return v.verifyUncached(ctx, t, v.keys.Held(now), now, true)
	}
	return v.introspector.ask(ctx, inquiry{r, forRevocation, v.oldestVerdict(r, behind, now), now, time.Time{}})
}

// verifyUncached decides on a token: by the keys where that is possible, and by the
// answer of PERS where it is needed. vouched: PERS has accepted the token before.
func (v *Verifier) verifyUncached(ctx context.Context, t *parsedToken, keys *keyring.Set, now clock.Instant, vouched bool) (*Claims, error) {
	l := v.local(ctx, t, keys, now)
	if l.decision == refused {
		return nil, l.err
	}
	if l.decision == accepted && v.refusesBehind(now) {
		return nil, withKeyID(errBehind(), t.header.Kid)
	}
	r := v.toCache(t, l)
	if l.decision == accepted && !v.mustAsk(r) {
		v.tokens.Put(r)
		return &r.claims, nil
	}
	since := v.oldestVerdict(r, v.fleet.behind(now), now)
	claims, err := v.introspector.ask(ctx, inquiry{r, l.purpose(t, vouched), since, now, l.deadline})
	if l.decision == undecided && errors.Is(err, ErrUnavailable) && ctx.Err() == nil {
		if late := v.byLateKeys(t, l); late != nil {
			return late, nil
		}
	}
	return claims, err
}

// byLateKeys verifies a token, whose key was unknown, by a key set that came too
// late to wait for it. It returns nil where that does not decide.
func (v *Verifier) byLateKeys(t *parsedToken, l localResult) *Claims {
	now, keys := v.clock(), v.keys.Latest()
	if keys == l.keys || !v.keys.Usable(keys, now) {
		return nil
	}
	key, err := t.verifiedBy(keys)
	if err != nil || v.checkClaims(t, now) != nil {
		return nil
	}
	l.keys, l.key = keys, key
	r := v.toCache(t, l)
	if v.mustAsk(r) {
		return nil
	}
	v.tokens.Put(r)
	return &r.claims
}

// decision is what the checks that need no answer of PERS come to.
type decision int

const (
	refused decision = iota
	accepted
	// undecided: no key that is held can say, and nothing else speaks against the
	// token. Then PERS may be asked.
	undecided
)

// localResult is what is known of a token without an answer of PERS.
type localResult struct {
	decision
	err    error // why it is not accepted
	keys   *keyring.Set
	key    *jose.Key // the one that signed it; nil where it is not accepted
	denied uint32    // the version of the deny list that it was held against
	// deadline is when the caller has waited long enough for PERS, for keys and
	// a verdict together. Zero: nothing was waited for.
	deadline time.Time
}

// purpose is why PERS is asked about the token. A flood of unknown keys must not keep
// a token that PERS has vouched for from being checked.
func (l *localResult) purpose(t *parsedToken, vouched bool) purpose {
	switch {
	case l.decision == accepted || vouched:
		return forRevocation
	case t.header.Algorithm == nil:
		return forRemoteAlgorithm
	}
	return forUnknownKey
}

// local decides on a token without an answer of PERS about it: form and header, key
// and signature, claims and rules.
func (v *Verifier) local(ctx context.Context, t *parsedToken, keys *keyring.Set, now clock.Instant) (l localResult) {
	v.fleet.begin()
	l.keys, l.denied = keys, v.denied.version.Load()
	if l.err = v.read(t); l.err != nil {
		return l
	}
	if t.claims.peekExpiry(t.payload, v.tree, now, v.policy) {
		// Most bad tokens are good ones that have expired. Refusing them costs
		// no look at the signature, though nobody vouches for the claims yet.
		l.err = v.checkClaims(t, now)
		return l
	}
	if now, l.err = v.settleKeys(ctx, t, &l, now); l.err != nil {
		return l
	}
	if l.key, l.err = t.verifiedBy(l.keys); errors.Is(l.err, ErrUnknownKey) {
		return v.withoutKey(ctx, t, l, now)
	}
	return v.judged(t, l, now)
}

// judged applies the rules for claims, where the signature held.
func (v *Verifier) judged(t *parsedToken, l localResult, now clock.Instant) localResult {
	if l.err == nil {
		l.err = v.checkClaims(t, now)
	}
	if l.err == nil {
		l.decision = accepted
	}
	return l
}

// settleKeys waits for PERS, shortly, where the keys are a seed that is too old.
func (v *Verifier) settleKeys(ctx context.Context, t *parsedToken, l *localResult, now clock.Instant) (clock.Instant, error) {
	if l.keys == nil || !l.keys.Outdated {
		return now, nil
	}
	l.deadline = time.Now().Add(v.keys.Timeout())
	keys, err := v.keys.Settle(ctx, l.keys)
	if err != nil {
		return now, withKeyID(keysErr(ctx, err), t.header.Kid)
	}
	l.keys = keys
	return v.clock(), nil
}

// withoutKey goes on with a token whose key is not among those that are held.
func (v *Verifier) withoutKey(ctx context.Context, t *parsedToken, l localResult, now clock.Instant) localResult {
	// What follows costs a request to PERS, so what can be refused for free is
	// refused first, on the word of claims that nobody vouches for.
	unknown := l.err
	if l.err = v.checkClaims(t, now); l.err != nil {
		return l
	}
	if l.deadline.IsZero() {
		l.deadline = time.Now().Add(v.keys.Timeout())
	}
	l.key, l.keys, l.err = v.findKey(ctx, t, l.keys, unknown, l.deadline)
	now = v.clock()
	if (v.asksUnknownKeys && l.keys != nil || t.header.Algorithm == nil) &&
		(errors.Is(l.err, ErrUnknownKey) || errors.Is(l.err, ErrUnavailable)) {
		if err := v.checkClaims(t, now); err != nil { // time has passed
			l.err = err
			return l
		}
		l.decision = undecided
		return l
	}
	return v.judged(t, l, now)
}

// counted counts an answer.
func (v *Verifier) counted(claims *Claims, err error) (*Claims, error) {
	if err != nil {
		v.countRefused(err)
		return nil, err
	}
	v.verified.Add(1)
	return claims, nil
}

// InsecureVerifySignatureOnly checks the signature of a compact JWS and the rules of its
// header, and returns the payload, which may be any bytes. It does not look at
// claims: not at the expiry, not at the tenant. So its answer says that PERS
// signed these bytes at some time, and nothing about who is calling; to
// authenticate a request use [Verifier.Verify]. On any error the payload is nil.
func (v *Verifier) InsecureVerifySignatureOnly(ctx context.Context, token string) ([]byte, error) {
	t := v.take(token)
	defer t.release()
	if err := v.read(t); err != nil {
		return nil, err
	}
	keys, err := v.keys.Settle(ctx, v.keys.Held(v.clock()))
	if err != nil {
		return nil, withKeyID(keysErr(ctx, err), t.header.Kid)
	}
	_, err = t.verifiedBy(keys)
	if errors.Is(err, ErrUnknownKey) {
		_, _, err = v.findKey(ctx, t, keys, err, time.Now().Add(v.keys.Timeout()))
	}
	if err != nil {
		return nil, err
	}
	return bytes.Clone(t.payload), nil
}

// Warm fetches the keys from PERS now, for a service that wants to be ready
// before its first request. It returns nil at once when the keys that are held
// are not due for a refresh. The error is [ErrUnavailable]; the verifier can be used
// all the same, with the keys it holds, and will try again by itself. With
// [Config.Fleet] it also reads the fleet's revocations; a fleet that is away is no
// error.
func (v *Verifier) Warm(ctx context.Context) error {
	v.fleet.warm(ctx)
	return keysErr(ctx, v.keys.Warm(ctx))
}

// Close ends what goes on in the background and waits for it. Afterwards the
// Verifier opens no connection, and answers from what it holds for as long as
// that is good.
func (v *Verifier) Close() {
	v.watch.close()
	v.keys.Close()
	if v.introspector != nil {
		v.introspector.close()
	}
	v.fleet.close()
}

func (v *Verifier) clock() clock.Instant { return v.clocks.Instant() }

// findKey looks for a key that is not held: in the key set of PERS as it is now. unknown is returned where it is not there either.
func (v *Verifier) findKey(ctx context.Context, t *parsedToken, keys *keyring.Set, unknown error, deadline time.Time) (*jose.Key, *keyring.Set, error) {
	if t.header.Algorithm == nil {
		return nil, keys, unknown // no key set will ever have it
	}
	// Twice, because a refresh that was under way already may have been
	// answered before the key came.
	for i := range 2 {
		until := deadline
		switch {
		case v.asksUnknownKeys && keys != nil:
			// Half of the time is for the verdict that is asked for after this. The
			// refresh goes on, and its key counts also when it comes later.
			until = deadline.Add(-v.keys.Timeout() / 2)
		case i == 0:
			until = deadline.Add(lastMoment) // the refresh ends by itself, and says why
		}
		newer, unavailable := v.renewUntil(ctx, keys, until)
		if newer != nil && newer != keys {
			keys = newer
			key, err := t.verifiedBy(keys)
			if !errors.Is(err, ErrUnknownKey) {
				return key, keys, err
			}
			unknown = err
		}
		if unavailable != nil {
			return nil, keys, withKeyID(unavailable, t.header.Kid)
		}
	}
	return nil, keys, unknown
}

// renewUntil asks for newer keys, and waits until a time at most.
func (v *Verifier) renewUntil(ctx context.Context, keys *keyring.Set, until time.Time) (*keyring.Set, error) {
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	newer, err := v.keys.Renew(ctx, keys)
	return newer, keysErr(ctx, err)
}
