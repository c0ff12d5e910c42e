package persauth

// How a Config becomes a part in a fleet.

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/persauth/persauth/internal/clock"
	"github.com/persauth/persauth/internal/dpop"
	"github.com/persauth/persauth/internal/jose"
	"github.com/persauth/persauth/internal/keyring"
	"github.com/persauth/persauth/internal/persapi"
)

// member returns the verifier's part in its fleet, or nil where it has none.
func (c *Config) member(now func() clock.Instant, denied *denyList) (*fleetMember, error) {
	if c.Fleet == nil {
		return nil, nil
	}
	policy := c.Fleet.Policy().defaults(c.Instances)
	if err := policy.check(); err != nil {
		return nil, err
	}
	return newFleetMember(c, policy, now, newFleetDenials(denied, now).apply), nil
}

// fleetShares returns how many calls of all instances each purpose may make in an
// hour. They add up to no more than all calls, so that none lives off another.
func (c *Config) fleetShares(policy FleetPolicy) map[CallPurpose]int {
	shares := map[CallPurpose]int{
		CallKeys:            keyCallsPerHour,
		CallUnknownKey:      max(c.UnknownKeyCallsPerHour, 0),
		CallRemoteAlgorithm: max(c.RemoteAlgorithmCallsPerHour, 0),
		CallRevocation:      max(c.RevocationCallsPerHour, 0),
	}
	if len(c.RemoteAlgorithms) == 0 {
		shares[CallRemoteAlgorithm] = 0
	}
	sum := 0
	for _, n := range shares {
		sum += n
	}
	for purpose, n := range shares {
		if sum > policy.CallsPerHour {
			n = n * policy.CallsPerHour / sum
		}
		shares[purpose] = max(n, 1)
	}
	return shares
}

// callPurpose is the name that a purpose has in the fleet.
func (p purpose) callPurpose() CallPurpose {
	return [...]CallPurpose{CallUnknownKey, CallRemoteAlgorithm, CallRevocation}[p]
}

// fleetReplays claims proofs for all instances. A proof stays for another leeway, in
// case the clock of the store is ahead.
type fleetReplays struct {
	member *fleetMember
	leeway time.Duration
	local  dpop.Store // LocalProofs; nil: without the store no proof is taken
}

// replays returns the store of used proofs: the fleet's, or local where m is nil.
func (m *fleetMember) replays(local dpop.Store, leeway time.Duration) dpop.Store {
	switch {
	case m == nil:
		return local
	case !m.policy.LocalProofs:
		local = nil
	}
	return &fleetReplays{m, leeway, local}
}

// Claim implements dpop.Store.
func (f *fleetReplays) Claim(ctx context.Context, p dpop.Claimed) (first bool, err error) {
	f.member.begin()
	if f.local != nil {
		// Here, too: when the store comes back it does not know it.
		if first, err := f.local.Claim(ctx, p); err != nil || !first {
			return false, err
		}
	}
	if f.local == nil || !f.member.isAway() {
		ctx, cancel := context.WithTimeout(ctx, f.member.policy.Patience)
		defer cancel()
		p.Until = p.Until.Add(f.leeway)
		if first, err = f.member.fleet.Claim(ctx, UsedProof(p)); err == nil || f.local == nil {
			return first, wrapped("the fleet", err)
		}
	}
	return true, nil
}

func wrapped(by string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", by, err)
}

// fleetOrigin is the key set of PERS, fetched by one instance for all.
type fleetOrigin struct {
	persOrigin
	member *fleetMember
	shared SharedName
	soft   time.Duration
	hold   time.Duration
	loaded func() clock.Instant // when PERS was asked for the keys that are held
}

// freshKeys is how old a shared key set may be that a token with an unknown kid
// brings about: all instances together ask PERS no more often.
const freshKeys = 10 * time.Second

// sharedKeys is a key set as it is shared.
type sharedKeys struct {
	MaxAge int64  `json:"maxAge"` // in seconds
	Body   []byte `json:"body"`
}

// origin returns the key set of PERS as the fleet shares it.
func (m *fleetMember) origin(pers *persapi.Client, c *Config, loaded func() clock.Instant) *fleetOrigin {
	return &fleetOrigin{persOrigin: persOrigin{pers}, member: m, soft: c.softAge(), hold: holdFor(c.Timeout), loaded: loaded,
		shared: SharedName{SharedKeys, digestToken("keys\x00" + pers.KeysURL() + "\x00" + pers.TenantTag())}}
}

// holdFor is how long others wait for an instance that asks PERS before one of
// them does.
func holdFor(timeout time.Duration) time.Duration { return min(timeout/2, longestHold) }

const longestHold = 2 * time.Second

// Read implements keyring.Origin. It takes a shared set only if it is newer than the one
// that is held: a key that left must not come back.
func (o *fleetOrigin) Read(ctx context.Context, fresh bool) (keyring.Reading, error) {
	within := o.soft / 2
	if fresh {
		within = freshKeys
	}
	now := o.member.now()
	if loaded := o.loaded(); loaded != clock.None {
		within = min(within, time.Duration(max(now-loaded-1, 0))*time.Microsecond)
	}
	var own keyring.Reading
	ask := func(ctx context.Context) ([]byte, time.Duration, error) {
		if err := o.member.leases.take(ctx, CallKeys); err != nil {
			return nil, 0, pauseError{err}
		}
		var err error
		if own, err = o.persOrigin.Read(ctx, fresh); err != nil {
			o.member.leases.limited(apiErr(err))
			return nil, 0, err
		}
		if _, err := jose.ParseKeySet(own.Body); err != nil {
			return nil, 0, nil // what cannot be used is not shared
		}
		body, err := json.Marshal(sharedKeys{int64(own.FreshFor / time.Second), own.Body})
		return body, o.soft, err
	}
	body, age, shared, err := o.member.answers.get(ctx, asking{o.shared, within, ask}, o.hold)
	if err != nil || !shared {
		return own, err
	}
	var got sharedKeys
	if err := json.Unmarshal(body, &got); err == nil {
		return keyring.Reading{Body: got.Body, FreshFor: time.Duration(got.MaxAge) * time.Second, Age: age}, nil
	}
	_, _, err = ask(ctx) // of a later version, perhaps
	return own, err
}

// pauseError tells a keyring how long there are no calls of PERS for it.
type pauseError struct{ error }

func (e pauseError) Unwrap() error { return e.error }

func (e pauseError) PauseFor() time.Duration {
	var public *Error
	if errors.As(e.error, &public) {
		return public.RetryAfter
	}
	return 0
}
