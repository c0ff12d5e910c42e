package persauth

import (
	"time"

	"github.com/persauth/persauth/internal/clock"
)

// FleetStatus tells about the state that the instances share.
type FleetStatus struct {
	// Reachable is true after the store has answered, until it does not. LastError
	// says why.
	Reachable bool   `json:"reachable"`
	LastError string `json:"lastError,omitempty"`
	// Members is how many instances were known to run when the store answered
	// last; 0 before it has.
	Members int `json:"members"`
	// RevocationsSeenUntil is the time up to which this instance knows all that was
	// revoked in the fleet; the zero time where that is not known yet. LagSeconds
	// is how long ago that is, or since the first token.
	RevocationsSeenUntil time.Time `json:"revocationsSeenUntil,omitzero"`
	LagSeconds           float64   `json:"lagSeconds"`
	// Behind is true while the lag is so long that [FleetPolicy.WhenBehind]
	// applies.
	Behind bool `json:"behind"`
	// Unpublished is how many revocations of this instance the others do not know
	// yet.
	Unpublished int `json:"unpublished"`
	// Leases count the calls that were leased for each purpose.
	Leases map[CallPurpose]LeaseCounters `json:"leases"`
}

// LeaseCounters count since New.
type LeaseCounters struct {
	Requests uint64 `json:"requests"` // to the store
	Calls    uint64 `json:"calls"`    // that were leased
	Alone    uint64 `json:"alone"`    // calls asked of the instance's own share
	Withheld uint64 `json:"withheld"` // calls that there were not
}

// status returns the state of the part in the fleet. m may be nil.
func (m *fleetMember) status(now clock.Instant) *FleetStatus {
	if m == nil {
		return nil
	}
	s := &FleetStatus{Behind: m.behind(now), Leases: m.leases.status()}
	m.mu.Lock()
	defer m.mu.Unlock()
	s.Reachable = m.members > 0 && m.err == nil
	if m.err != nil {
		s.LastError = m.err.Error()
	}
	s.Members = m.members
	s.RevocationsSeenUntil = m.seenUntil.OrZero()
	if at := clock.Instant(m.behindAt.Load()); at != clock.Never {
		lag := time.Duration(now-at)*time.Microsecond + m.policy.MaxLag - settling*m.poll
		s.LagSeconds = max(lag, 0).Seconds()
	}
	for _, e := range m.entries {
		if e.published == clock.Never {
			s.Unpublished++
		}
	}
	return s
}

func (l *leases) status() map[CallPurpose]LeaseCounters {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make(map[CallPurpose]LeaseCounters, len(l.shares))
	for purpose, s := range l.shares {
		all[purpose] = s.counts
	}
	return all
}
