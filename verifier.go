package persauth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
)

// Verifier verifies PERS tokens. Make one with [New] and keep it: it is safe for
// concurrent use, and the keys and tokens that it remembers are what makes it
// fast. The zero value is not usable.
type Verifier struct {
	expect  *expectation
	tree    []claimMember
	keys    *keyring
	now     func() time.Time
	seen    *bounded[*remembered]  // nil: tokens are not remembered
	headers *bounded[*knownHeader] // headers of tokens whose signature held

	verified atomic.Uint64
	refused  [1 + len(codes)]atomic.Uint64 // by place in codes; the last: others
}

// New makes a Verifier. It checks the whole Config and reports all that is wrong
// with it at once. It reads the files that are configured, and does no network
// I/O; the keys from PERS are fetched when the first token needs them, or by
// [Verifier.Warm].
func New(cfg Config) (*Verifier, error) {
	cfg = cfg.defaults()
	tree, wrongNames := claimTree(cfg.ClaimNames)
	keys, wrongKeys := cfg.keyring()
	if err := errors.Join(cfg.check(), wrongNames, wrongKeys); err != nil {
		return nil, fmt.Errorf("persauth: %w", err)
	}
	v := &Verifier{
		expect:  cfg.expectation(),
		tree:    tree,
		keys:    keys,
		now:     cfg.Now,
		headers: newBounded[*knownHeader](rememberedHeaders),
	}
	if cfg.CacheTokens > 0 {
		v.seen = newBounded[*remembered](cfg.CacheTokens)
	}
	return v, nil
}

// Verify tells who the token was issued to. On any error the claims are nil.
//
// The error is one of the sentinels, for [errors.Is], and carries an [*Error].
// [ErrUnavailable] means that nobody can tell at the moment; then the caller of
// the service should get a 503, and a 401 for all others. Verify waits only for
// keys that it needs and does not hold, and not longer than ctx.
func (v *Verifier) Verify(ctx context.Context, token string) (*Claims, error) {
	now := v.clock()
	keys := v.keys.held(now)
	if claims := v.recall(token, keys, now); claims != nil {
		return claims, nil
	}
	claims, err := v.verify(ctx, token, keys, now)
	if err != nil {
		v.countRefused(err)
		return nil, err
	}
	v.verified.Add(1)
	return claims, nil
}

// verify takes a token that is not remembered all the way. keys may be nil.
func (v *Verifier) verify(ctx context.Context, token string, keys *keySet, now instant) (*Claims, error) {
	t, err := v.read(token)
	if err != nil {
		return nil, err
	}
	key, err := keys.verify(t)
	if errors.Is(err, ErrUnknownKey) {
		// What follows costs a request to PERS, so what can be refused for
		// free is refused first, on the word of claims that nobody vouches for.
		if _, err := v.check(t, now); err != nil {
			return nil, err
		}
		key, keys, err = v.findKey(ctx, t, keys, err)
		now = v.clock()
	}
	if err != nil {
		return nil, err
	}
	c, err := v.check(t, now)
	if err != nil {
		return nil, err
	}
	c.verification = Verification{KeyID: key.KeyID, Algorithm: t.header.alg, KeysStale: keys.stale(now)}
	return v.remember(token, t, key, c), nil
}

// VerifySignatureOnly checks the signature of a compact JWS and the rules of its
// header, and returns the payload, which may be any bytes. It does not look at
// claims: not at the expiry, not at the tenant. So its answer says that PERS
// signed these bytes at some time, and nothing about who is calling; to
// authenticate a request use [Verifier.Verify]. On any error the payload is nil.
func (v *Verifier) VerifySignatureOnly(ctx context.Context, token string) ([]byte, error) {
	t, err := v.read(token)
	if err != nil {
		return nil, err
	}
	keys := v.keys.held(v.clock())
	_, err = keys.verify(t)
	if errors.Is(err, ErrUnknownKey) {
		_, _, err = v.findKey(ctx, t, keys, err)
	}
	if err != nil {
		return nil, err
	}
	return []byte(t.payload), nil
}

// Warm fetches the keys from PERS now, for a service that wants to be ready
// before its first request. It returns nil at once when the keys at hand are
// not due for a refresh. The error is [ErrUnavailable]; the verifier can be used
// all the same, with the keys it holds, and will try again by itself.
func (v *Verifier) Warm(ctx context.Context) error { return v.keys.warm(ctx) }

// Close ends what goes on in the background and waits for it. Afterwards the
// Verifier opens no connection, and answers from what it holds for as long as
// that is good.
func (v *Verifier) Close() { v.keys.close() }

func (v *Verifier) clock() instant { return instantOf(v.now()) }

// parsed is a token in its parts, none of them verified.
type parsed struct {
	segments
	header  *header
	known   bool // the header is already remembered
	payload string
	sig     []byte
}

// read takes a token apart and applies all rules that need no key.
func (v *Verifier) read(token string) (*parsed, error) {
	if err := checkSize(token); err != nil {
		return nil, err
	}
	s, err := split(token)
	if err != nil {
		return nil, err
	}
	t := &parsed{segments: s}
	if t.header, t.known = v.knownHeader(s.header); !t.known {
		if t.header, err = decodeHeader(s.header); err != nil {
			return nil, err
		}
		if err := firstFailure(headerRules, t.header, v.expect); err != nil {
			return nil, withKeyID(err, t.header)
		}
	}
	if t.sig, err = decodeSegment(nil, s.signature, "signature"); err != nil {
		return nil, withKeyID(err, t.header)
	}
	if t.payload, err = decodePayload(s.payload); err != nil {
		return nil, withKeyID(err, t.header)
	}
	return t, nil
}

// verify finds the key that signed t. The error is ErrUnknownKey when the set,
// which may be nil, has no key that the token can mean.
func (s *keySet) verify(t *parsed) (*publicKey, error) {
	if s == nil {
		return nil, withKeyID(&Error{Check: "key", Want: "a key set", Got: "none yet", Err: ErrUnknownKey}, t.header)
	}
	keys, known := s.candidates(t.header)
	if !known {
		return nil, s.unknownKey(t.header)
	}
	if len(keys) == 0 {
		return nil, withKeyID(&Error{Check: "alg", Want: "one of " + strings.Join(s.byID[t.header.kid][0].Algorithms, ", ") +
			", which the key is for", Got: quoted(t.header.alg), Err: ErrAlgorithm}, t.header)
	}
	for _, key := range keys {
		if !t.header.algorithm.verify(key.public, t.signingInput, t.sig) {
			continue
		}
		if key.gone.Load() {
			// It left while we looked: ask the set that has come instead.
			return nil, s.unknownKey(t.header)
		}
		return key, nil
	}
	return nil, withKeyID(&Error{Check: "signature", Want: "one by the key that the token names", Got: "another", Err: ErrSignature}, t.header)
}

func (s *keySet) unknownKey(h *header) error {
	e := &Error{Check: "key", Want: fmt.Sprintf("one of the %d keys at hand", len(s.keys)), Got: "another kid", Err: ErrUnknownKey}
	if !h.hasKid {
		e.Want, e.Got = "a kid, or exactly one key for "+h.alg, fmt.Sprintf("no kid, and %d keys for it", len(s.byAlg[h.alg]))
	}
	return withKeyID(e, h)
}

// findKey looks for a key that is not at hand: in the key set of PERS as it is
// now. unknown is returned where it is not there either.
func (v *Verifier) findKey(ctx context.Context, t *parsed, keys *keySet, unknown error) (*publicKey, *keySet, error) {
	// Twice, because a refresh that was under way already may have been
	// answered before the key came.
	for range 2 {
		newer, unavailable := v.keys.renew(ctx, keys)
		if newer != nil && newer != keys {
			keys = newer
			key, err := keys.verify(t)
			if !errors.Is(err, ErrUnknownKey) {
				return key, keys, err
			}
			unknown = err
		}
		if unavailable != nil {
			return nil, keys, withKeyID(unavailable, t.header)
		}
	}
	return nil, keys, unknown
}

// check reads the claims and applies every rule to them.
func (v *Verifier) check(t *parsed, now instant) (*candidate, error) {
	c, err := decodeClaims(t.payload, v.tree, now)
	if err == nil {
		err = allFailures(claimRules, c, v.expect)
	}
	if err != nil {
		return nil, withKeyID(err, t.header)
	}
	return c, nil
}

// withKeyID adds the kid to an error, and to each of several that are joined.
func withKeyID(err error, h *header) error {
	switch err := err.(type) {
	case *Error:
		err.KeyID = h.kid
	case failures:
		for _, one := range err {
			_ = withKeyID(one, h)
		}
	}
	return err
}
