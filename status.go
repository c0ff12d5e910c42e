package persauth

import (
	"context"
	"errors"
	"slices"
	"time"
)

// Status is the state of a [Verifier] at one moment, for a readiness probe or an
// operator. It holds no tokens and no project key.
type Status struct {
	// Ready is true while there are keys to verify with.
	Ready bool `json:"ready"`
	// Keys tells about the keys at hand.
	Keys KeyStatus `json:"keys"`
	// Remote tells about the questions to PERS about tokens, by purpose:
	// "unknown key" and "revocation". It is empty where PERS is not asked.
	Remote map[string]RemoteStatus `json:"remote,omitempty"`
	// Revoked is how many tokens and ids are known to be revoked.
	Revoked int `json:"revoked"`
	// Rejected is how many tokens are remembered that PERS did not accept.
	Rejected int `json:"rejected"`
	// Remembered is how many verified tokens are remembered.
	Remembered int `json:"remembered"`
	// Counters count since New.
	Counters Counters `json:"counters"`
}

// KeyStatus tells about the keys at hand. Times that do not apply are zero.
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

// RemoteStatus tells about the questions to PERS for one purpose.
type RemoteStatus struct {
	// Answering is false after a question that could not be put, or found no
	// answer, until one does.
	Answering bool `json:"answering"`
	// Breaker is "closed" while questions are put, "open" when none are
	// because PERS did not answer, and "half-open" while one tries.
	Breaker string `json:"breaker"`
	// LastError says why the last question found no answer.
	LastError string `json:"lastError,omitempty"`
	// Calls counts questions since New.
	Calls CallCounters `json:"calls"`
}

// CallCounters count questions to PERS about tokens.
type CallCounters struct {
	Asked      uint64 `json:"asked"`      // put to PERS
	Withheld   uint64 `json:"withheld"`   // not put: budget, breaker, or a pause
	Failures   uint64 `json:"failures"`   // without an answer
	Mismatches uint64 `json:"mismatches"` // with one that could not be believed
}

// Counters count what a Verifier did since New.
type Counters struct {
	// Recalled is how many tokens were found remembered.
	Recalled uint64 `json:"recalled"`
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
	s := Status{Keys: v.keys.status(now)}
	s.Ready = v.keys.current.Load().usable(now)
	s.Remembered = v.seen.len()
	s.Counters.Recalled = v.seen.found.sum()
	s.Revoked = v.denied.len()
	if v.oracle != nil {
		s.Remote = v.oracle.status()
		s.Rejected = v.oracle.refused.len()
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
	v.keys.mu.Lock()
	s.Counters.Keys = v.keys.counts
	v.keys.mu.Unlock()
	return s
}

// countRefused counts an error under its code. A caller that went away was not
// refused: that is told by no error but those of waits, and of a service's own
// guards.
func (v *Verifier) countRefused(err error) {
	i := place(err)
	ours := i < len(codes) && codes[i].err != ErrUnavailable && codes[i].err != ErrForbidden
	if !ours && errors.Is(err, context.Canceled) {
		return
	}
	v.refused[i].Add(1)
}

func (o *oracle) status() map[string]RemoteStatus {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := make(map[string]RemoteStatus, len(o.lanes))
	for p, l := range o.lanes {
		s := RemoteStatus{Answering: !l.failing, Breaker: l.breaker.State().String(), Calls: l.counts}
		if l.err != nil {
			s.LastError = l.err.Error()
		}
		all[purpose(p).String()] = s
	}
	return all
}

func (k *keyring) status(now instant) KeyStatus {
	s := KeyStatus{Keys: []KeyInfo{}}
	if set := k.current.Load(); set != nil {
		for _, key := range set.keys {
			info := key.KeyInfo
			info.Algorithms = slices.Clone(info.Algorithms) // the caller may change them
			s.Keys = append(s.Keys, info)
		}
		s.Source, s.Skipped = set.source, slices.Clone(set.skipped)
		s.Loaded = set.loaded.time()
		s.Stale = set.stale(now)
		s.StaleAt, s.ExpiresAt = set.soft.orNever(), set.hard.orNever()
	}
	if k.snapshot != nil {
		if err := k.snapshot.problem(); err != nil {
			s.SnapshotError = err.Error()
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	s.Refreshing = k.inFlight != nil
	s.LastAttempt = k.lastAttempt.orZero()
	if k.lastError != nil {
		s.LastError = k.lastError.Error()
		s.NextAttempt = instant(k.quiet.Load()).orNever()
	}
	return s
}

// orNever is time for a Go API, where a time that does not come is zero.
func (i instant) orNever() time.Time {
	if i == never {
		return time.Time{}
	}
	return i.orZero()
}
