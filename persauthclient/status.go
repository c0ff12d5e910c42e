package persauthclient

import "time"

// Status is the state of a [TokenSource], for a readiness probe or an operator.
// It holds no token.
type Status struct {
	// Ready is true while there is a token that has not expired.
	Ready bool `json:"ready"`
	// ExpiresAt is when it expires, and DueAt when it is to be refreshed.
	ExpiresAt time.Time `json:"expiresAt,omitzero"`
	DueAt     time.Time `json:"dueAt,omitzero"`
	// Refreshable is true where the session has a refresh token.
	Refreshable bool `json:"refreshable"`
	// Bound is the thumbprint of the key that the token is bound to, or empty.
	Bound string `json:"bound,omitempty"`
	// Refreshing is true while a refresh is under way.
	Refreshing bool `json:"refreshing"`
	// LastError says why the last refresh failed; empty when it did not. After
	// NextAttempt it is tried again.
	LastError   string    `json:"lastError,omitempty"`
	NextAttempt time.Time `json:"nextAttempt,omitzero"`
}

// Status returns the state of the source. It never waits.
func (s *TokenSource) Status() Status {
	now := s.now()
	var status Status
	h := s.current.Load()
	if h != nil {
		status = Status{Ready: h.alive(now), ExpiresAt: h.expiresAt, DueAt: h.dueAt, Refreshable: h.RefreshToken != ""}
		if h.key != nil {
			status.Bound = h.key.thumbprint
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	status.Refreshing = s.flight != nil
	if s.failure.err != nil {
		status.LastError = s.failure.err.Error()
		status.NextAttempt = s.failure.at.Add(s.failure.pause(h.alive(now)))
	}
	return status
}
