package persauth

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"time"

	"github.com/persauth/persauth/internal/clock"
	"github.com/persauth/persauth/internal/jose"
	"github.com/persauth/persauth/internal/keyring"
	"github.com/persauth/persauth/internal/persapi"
)

// Status is the state of a [Verifier] at one moment, for a readiness probe or an
// operator. It holds no tokens and no project key.
type Status struct {
	// Ready is true while there are keys to verify with.
	Ready bool `json:"ready"`
	// Keys describes the keys that are held.
	Keys KeyStatus `json:"keys"`
	// Remote tells about the calls of PERS about tokens. It is the zero value
	// where PERS is not asked.
	Remote RemoteStatus `json:"remote,omitzero"`
	// Fleet tells about the fleet; nil where there is none.
	Fleet *FleetStatus `json:"fleet,omitempty"`
	// DenyListed is how many revocations are held.
	DenyListed int `json:"denyListed"`
	// NegativeCache is how many tokens are remembered that PERS did not accept.
	NegativeCache int `json:"negativeCache"`
	// CachedTokens is how many verified tokens are remembered.
	CachedTokens int `json:"cachedTokens"`
	// Counters count since New.
	Counters Counters `json:"counters"`
}

// KeyStatus describes the keys that are held. Times that do not apply are zero.
type KeyStatus struct {
	// Source is where the keys are from: "static", "file", "seed" (they came
	// with the service, and PERS has not answered yet), "snapshot", "remote",
	// or "" while there are none.
	Source string `json:"source"`
	// Keys are the usable ones, Skipped those that cannot be used, and why.
	Keys    []KeyInfo `json:"keys"`
	Skipped []KeyInfo `json:"skipped,omitempty"`
	// Loaded is when the source was asked for these keys.
	Loaded time.Time `json:"loaded,omitzero"`
	// Stale is true from StaleAt on, when a refresh is due.
	Stale   bool      `json:"stale"`
	StaleAt time.Time `json:"staleAt,omitzero"`
	// ExpiresAt is when the keys are used no longer, unless a refresh succeeds.
	ExpiresAt time.Time `json:"expiresAt,omitzero"`
	// Refreshing is true while a refresh is under way.
	Refreshing bool `json:"refreshing"`
	// LastAttempt is when the last refresh began.
	LastAttempt time.Time `json:"lastAttempt,omitzero"`
	// LastError says why the last refresh failed; empty when it succeeded.
	LastError string `json:"lastError,omitempty"`
	// NextAttempt is when a refresh may be tried again after one that failed.
	NextAttempt time.Time `json:"nextAttempt,omitzero"`
	// SnapshotError says why the snapshot could not be used or written.
	SnapshotError string `json:"snapshotError,omitempty"`
}

// RemoteStatus tells about the calls of PERS about tokens, by purpose.
type RemoteStatus struct {
	// UnknownKey: tokens whose key is in no key set.
	UnknownKey CallStatus `json:"unknownKey"`
	// RemoteAlgorithm: tokens of an algorithm that only PERS can check.
	RemoteAlgorithm CallStatus `json:"remoteAlgorithm"`
	// Revocation: tokens that may have been revoked since they were issued.
	Revocation CallStatus `json:"revocation"`
}

// ByPurpose gives the status of each purpose under a name that fits a metric's
// label: "unknown_key", "remote_algorithm", "revocation".
func (s RemoteStatus) ByPurpose() iter.Seq2[string, CallStatus] {
	return func(yield func(string, CallStatus) bool) {
		_ = yield(forUnknownKey.String(), s.UnknownKey) && yield(forRemoteAlgorithm.String(), s.RemoteAlgorithm) &&
			yield(forRevocation.String(), s.Revocation)
	}
}

// CallStatus tells about the calls of PERS for one purpose.
type CallStatus struct {
	// Answering is true from an answer of PERS on, until a call could not be made
	// or found no answer. It is false, too, before PERS was ever asked: Calls is
	// the zero value then.
	Answering bool `json:"answering"`
	// Breaker is "closed" while calls are made, "open" when none are because PERS
	// did not answer, and "half-open" while one tries.
	Breaker string `json:"breaker"`
	// PausedUntil is when the pause is over that PERS asked for (Retry-After), or
	// the zero time.
	PausedUntil time.Time `json:"pausedUntil,omitzero"`
	// RateLimited is true when the last call got a 429: the calls that PERS allows
	// to the project key are used up, by this service, by another of the tenant,
	// or by a stranger who knows the key.
	RateLimited bool `json:"rateLimited"`
	// LastError says why the last call found no answer.
	LastError string `json:"lastError,omitempty"`
	// Calls counts calls since New.
	Calls CallCounters `json:"calls"`
}

// CallCounters count calls of PERS about tokens.
type CallCounters struct {
	Asked       uint64 `json:"asked"`       // made
	Withheld    uint64 `json:"withheld"`    // not made: budget, share, breaker, or a pause
	Failures    uint64 `json:"failures"`    // without an answer
	RateLimited uint64 `json:"rateLimited"` // of these, with a 429
	Mismatches  uint64 `json:"mismatches"`  // with an answer that contradicts itself or the token
}

// Counters count what a Verifier did since New.
type Counters struct {
	// CacheHits is how many tokens were found among the remembered ones.
	CacheHits uint64 `json:"cacheHits"`
	// Verified is how many tokens were accepted that were not remembered, or
	// due to be asked about again.
	Verified uint64 `json:"verified"`
	// Refused is how many tokens were refused, by [Code].
	Refused map[string]uint64 `json:"refused"`
	// Keys counts refreshes of the keys.
	Keys KeyCounters `json:"keys"`
}

// KeyCounters count refreshes of the keys.
type KeyCounters struct {
	Refreshes uint64 `json:"refreshes"` // all that ended
	Failures  uint64 `json:"failures"`  // those that failed
}

// Status returns the state of the verifier. It is cheap enough for a readiness
// probe, and never waits.
func (v *Verifier) Status() Status {
	now := v.clock()
	keys := v.keys.State()
	s := Status{Keys: keyStatus(keys, now)}
	s.Ready = v.keys.Usable(keys.Set, now)
	s.CachedTokens = v.tokens.Len()
	s.Counters.CacheHits = v.tokens.Hits.Sum()
	s.DenyListed = v.denied.len()
	s.Fleet = v.fleet.status(now)
	if v.introspector != nil {
		s.Remote = v.introspector.status()
		s.NegativeCache = v.introspector.negatives.len()
	}
	s.Counters.Verified = v.verified.Load()
	s.Counters.Refused = make(map[string]uint64)
	for i := range v.refused {
		if n := v.refused[i].Load(); n > 0 {
			code := "internal"
			if i < len(codes) {
				code = codes[i].code
			}
			s.Counters.Refused[code] = n
		}
	}
	s.Counters.Keys = KeyCounters(keys.Counts)
	return s
}

// countRefused counts an error under its code. A caller that went away was not
// refused: that is told by no error but those of waits, and of a service's own
// guards.
func (v *Verifier) countRefused(err error) {
	i := codeIndex(err)
	ours := i < len(codes) && codes[i].err != ErrUnavailable && codes[i].err != ErrForbidden
	if !ours && errors.Is(err, context.Canceled) {
		return
	}
	v.refused[i].Add(1)
}

func (i *introspector) status() RemoteStatus {
	now := clock.Of(i.now())
	i.mu.Lock()
	defer i.mu.Unlock()
	of := func(p purpose) CallStatus {
		b := i.bulkheads[p]
		s := CallStatus{Answering: b.answered && !b.failing, Breaker: b.breaker.State().String(), Calls: b.counts}
		if until := max(i.pausedUntil, b.pausedUntil); until.Ahead(now, persapi.MaxRetryAfter) {
			s.PausedUntil = until.Time()
		}
		if b.err != nil {
			s.LastError, s.RateLimited = b.err.Error(), statusOf(b.err) == http.StatusTooManyRequests
		}
		return s
	}
	return RemoteStatus{UnknownKey: of(forUnknownKey), RemoteAlgorithm: of(forRemoteAlgorithm), Revocation: of(forRevocation)}
}

// keyStatus is the part of Status that is about keys.
func keyStatus(state keyring.State, now clock.Instant) KeyStatus {
	s := KeyStatus{Keys: []KeyInfo{}, Refreshing: state.Refreshing, LastAttempt: state.LastAttempt.OrZero()}
	if set := state.Set; set != nil {
		for _, key := range set.Keys {
			s.Keys = append(s.Keys, publicInfos([]jose.KeyInfo{key.KeyInfo})...)
		}
		if len(set.Skipped) > 0 {
			s.Skipped = publicInfos(set.Skipped)
		}
		s.Source = set.Source
		s.Loaded = set.Loaded.Time()
		s.Stale = set.Stale(now)
		s.StaleAt, s.ExpiresAt = set.Soft.OrNever(), set.Hard.OrNever()
	}
	if state.LastError != nil {
		s.LastError = state.LastError.Error()
		s.NextAttempt = state.NextAttempt.OrNever()
	}
	if state.SnapshotError != nil {
		s.SnapshotError = state.SnapshotError.Error()
	}
	return s
}
