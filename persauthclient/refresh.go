package persauthclient

// One refresh at a time: when it may begin, what it does, and what becomes of its
// answer.

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/persauth/persauth"
)

const (
	// After a refresh that failed, the pauses grow from one to the other; while
	// there is no token to use they are no longer than shortPause.
	firstPause = time.Second
	longPause  = time.Minute
	shortPause = 5 * time.Second
	// endedPause is how often a session that has ended is looked for in the
	// store: somebody may have signed in.
	endedPause = time.Second
	// saveAgain is how often the store is tried that did not take a session.
	saveAgain = 30 * time.Second
	// flightLimit ends a flight: a lock, an exchange or a refresh, and a check.
	flightLimit = 3 * time.Minute
)

// flight is a refresh under way, which any number of callers wait for.
type flight struct {
	refreshes bool // or it signs in or out
	done      chan struct{}
	err       error // set when done is closed
}

func (f *flight) ended() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// failure is how the last flight failed. Its zero value is a success.
type failure struct {
	err   error
	at    time.Time
	count int // in a row
	next  time.Duration
	asked time.Duration // by PERS
	ended bool
}

// pause is how long nothing is tried, with a token to use meanwhile or without.
func (f failure) pause(alive bool) time.Duration {
	switch {
	case f.err == nil:
		return 0
	case f.asked > 0:
		return f.asked
	case alive:
		return f.next
	}
	return min(f.next, shortPause)
}

// reason is why a refresh is asked for.
type reason int

const (
	refreshDue     reason = iota
	refreshRefused        // a service did not accept the token
)

// join returns the flight under way, or begins one. It is nil where none may
// begin now.
func (s *TokenSource) join(now time.Time, why reason) *flight {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flight != nil {
		return s.flight
	}
	h := s.current.Load()
	since := now.Sub(s.failure.at)
	switch {
	case s.closed:
		return nil
	case why == refreshDue && h != nil && h.fresh(now):
		return nil
	case s.failure.err != nil && since >= 0 && since < s.failure.pause(h.alive(now)): // a clock may be put back
		return nil
	case why == refreshRefused:
		if since := now.Sub(s.renewedAt); since >= 0 && since < renewEvery {
			return nil
		}
		s.renewedAt = now
	}
	return s.launch(func(ctx context.Context) error { return s.refresh(ctx, why) }, true)
}

// launch begins a flight, detached from whoever asked for it. The caller holds mu.
func (s *TokenSource) launch(do func(context.Context) error, refreshes bool) *flight {
	f := &flight{refreshes: refreshes, done: make(chan struct{})}
	s.flight = f
	s.running.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), flightLimit)
		defer cancel()
		err := do(ctx)
		s.mu.Lock()
		if refreshes || err == nil {
			err = s.settle(err)
		}
		s.flight, f.err = nil, err
		close(f.done)
		s.mu.Unlock()
		if err != nil && refreshes {
			s.log.Warn("persauthclient: no new token", "error", err)
		}
	})
	return f
}

// begin waits until no flight is under way, and begins one.
func (s *TokenSource) begin(ctx context.Context, do func(context.Context) error) (*flight, error) {
	for {
		s.mu.Lock()
		switch running := s.flight; {
		case s.closed:
			s.mu.Unlock()
			return nil, &Error{Op: opToken, Got: "the source is closed", Err: ErrUnavailable}
		case running == nil:
			defer s.mu.Unlock()
			return s.launch(do, false), nil
		default:
			s.mu.Unlock()
			select {
			case <-running.done:
			case <-ctx.Done():
				return nil, &Error{Op: opToken, Err: ErrUnavailable, Cause: ctx.Err()}
			}
		}
	}
}

// settle notes how a flight ended, and returns what those are told who waited for
// it. The caller holds mu.
func (s *TokenSource) settle(err error) error {
	if err == nil {
		s.failure = failure{}
		return nil
	}
	f := failure{err: err, at: s.now(), count: s.failure.count + 1, ended: errors.Is(err, ErrSignIn)}
	f.next = min(firstPause<<min(f.count-1, 10), longPause)
	f.next += time.Duration(float64(f.next) * 0.2 * (rand.Float64() - 0.5))
	var e *Error
	if errors.As(err, &e) {
		f.asked = e.RetryAfter
	}
	if f.ended {
		f.next, f.asked = endedPause, 0
	}
	s.failure = f
	if e != nil && e.Err == ErrUnavailable && e.RetryAfter == 0 {
		told := *e
		told.RetryAfter = f.pause(false)
		return &told
	}
	return err
}

// paused is the error while nothing is tried.
func (s *TokenSource) paused(now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch f := s.failure; {
	case f.ended:
		return f.err
	case f.err != nil:
		return &Error{Op: opToken, Got: "the last try failed", Err: sentinelOf(f.err), Cause: f.err,
			RetryAfter: max(f.at.Add(f.pause(false)).Sub(now), time.Millisecond)}
	}
	return &Error{Op: opToken, Got: "the source is closed", Err: ErrUnavailable}
}

func sentinelOf(err error) error {
	var e *Error
	if errors.As(err, &e) && (e.Err == ErrStore || e.Err == ErrAnswer) {
		return e.Err
	}
	return ErrUnavailable
}

// refresh brings a token that is fresher than the current one: from the store,
// where another process was faster, or from PERS.
func (s *TokenSource) refresh(ctx context.Context, why reason) error {
	var found *held
	var inner error // of what happens under the lock, for which the store is not to blame
	stored := ""
	err := s.cfg.Store.Update(ctx, func(kept []byte) (next []byte, err error) {
		next, found, stored, inner = s.change(ctx, kept, why)
		return next, inner
	})
	switch {
	case inner != nil:
		return inner
	case err == nil && found == nil:
		err = plainError("it did not call change")
		fallthrough
	case found == nil:
		return storeError(err)
	}
	s.unsaved = nil
	if err != nil {
		// PERS has replaced the refresh token, and the store does not know the new
		// one: it is used from here, and the store is tried again.
		s.unsaved, s.replaced = found.session, stored
		if again := s.now().Add(saveAgain); again.Before(found.dueAt) {
			found.dueAt = again
		}
		s.log.Warn("persauthclient: the session is not kept", "error", storeError(err))
	}
	return s.adopt(ctx, found)
}

// change decides, under the lock of the store, what to do with what is kept, and
// returns what to keep, what to use, and the refresh token that the store has.
func (s *TokenSource) change(ctx context.Context, kept []byte, why reason) (next []byte, h *held, stored string, err error) {
	base, err := decodeSession(kept, s.account)
	if err != nil {
		return nil, nil, "", storeError(err)
	}
	if base != nil {
		stored = base.RefreshToken
	}
	if s.unsaved != nil && stored == s.replaced {
		base, kept = s.unsaved, nil
	}
	if base != nil {
		var key *Key
		if key, err = s.keyOf(base); err == nil {
			h = hold(base, key)
		}
	}
	if h == nil || !s.usable(h, why) {
		if h, err = s.replace(ctx, h, why, err); err != nil {
			return nil, nil, stored, err
		}
	}
	if h.session == base && kept != nil {
		return kept, h, stored, nil
	}
	next, err = h.session.encode()
	return next, h, stored, err
}

// usable reports whether a session that is kept spares a call of PERS: another
// process was faster, the program has just started, or it is only to be saved.
func (s *TokenSource) usable(h *held, why reason) bool {
	current := s.current.Load()
	switch {
	case !h.fresh(s.now()) || h.AccessToken == s.distrusted:
		return false
	case current == nil || h.AccessToken != current.AccessToken:
		return true
	}
	return why == refreshDue && !current.doubtful
}

// replace gets the session after h, which is nil where there is none that can be
// used, with the reason.
func (s *TokenSource) replace(ctx context.Context, h *held, why reason, reason error) (*held, error) {
	if h != nil && h.RefreshToken != "" && h.RefreshToken != s.ended {
		next, err := s.next(ctx, h)
		if err == nil {
			return next, nil
		}
		if reason = err; !errors.Is(err, ErrSignIn) {
			return nil, err
		}
	}
	switch {
	case s.cfg.SignIn != nil:
		request, err := s.cfg.SignIn(ctx)
		if err != nil {
			return nil, &Error{Op: opToken, Got: "Config.SignIn failed", Err: ErrUnavailable, Cause: err}
		}
		return s.exchange(ctx, request)
	case reason != nil:
		return nil, reason
	case h != nil && h.RefreshToken == "" && h.alive(s.now()) && h.AccessToken != s.distrusted && why == refreshDue:
		return h, nil // it cannot be refreshed: it is used to its end
	}
	return nil, s.signInError(h)
}

// signInError says why the user has to sign in.
func (s *TokenSource) signInError(h *held) error {
	got := "there is no session"
	switch {
	case h != nil && h.RefreshToken == "":
		got = "the session cannot be refreshed: it has no refresh token"
	case h != nil:
		got = refreshRefusal
	}
	return &Error{Op: opToken, Got: got, Err: ErrSignIn}
}

const refreshRefusal = "PERS does not accept the refresh token: it has expired, was used before, or was revoked"

// next refreshes a session at PERS. Where the answer has a refresh token and no
// access token that can be used, that refresh token is kept all the same.
func (s *TokenSource) next(ctx context.Context, h *held) (*held, error) {
	tokens, err := s.cfg.Client.refresh(ctx, h.RefreshToken, h.key)
	if err != nil && tokens == nil {
		var e *Error
		switch {
		case !errors.As(err, &e) || e.Err != ErrRejected:
			return nil, err
		case e.Status == http.StatusBadRequest || e.Status == http.StatusUnauthorized:
			s.ended = h.RefreshToken
			return nil, &Error{Op: opRefresh, Got: refreshRefusal, Status: e.Status, Err: ErrSignIn, Cause: err}
		}
		// A 403 or 422 may be about anything, a firewall's too: the refresh token
		// is kept, and tried again.
		return nil, &Error{Op: opRefresh, Status: e.Status, Err: ErrUnavailable, Cause: err}
	}
	next := s.session(tokens, h.key)
	if err == nil && h.AccessToken != s.distrusted && !sameCaller(peekToken(h.AccessToken), peekToken(tokens.AccessToken)) {
		err = &Error{Op: opRefresh, Got: "a token of another caller, or for another business", Err: ErrAnswer}
	}
	if err == nil {
		err = s.check(ctx, next)
	}
	if err == nil || errors.Is(err, ErrUnavailable) {
		return next, nil
	}
	kept := *h.session
	kept.RefreshToken = tokens.RefreshToken
	next = hold(&kept, h.key)
	next.problem = err
	return next, nil
}

// exchange gets a new session.
func (s *TokenSource) exchange(ctx context.Context, request Request) (*held, error) {
	key := s.cfg.Client.Key
	if s.cfg.BindTo != "" {
		var err error
		if key, err = GenerateKey(s.cfg.BindTo); err != nil {
			return nil, &Error{Op: opExchange, Got: "a key cannot be made", Err: ErrUnavailable, Cause: err}
		}
	}
	tokens, err := s.cfg.Client.exchange(ctx, request, nil, key)
	if err != nil {
		return nil, err
	}
	h := s.session(tokens, key)
	if err := s.check(ctx, h); err != nil && !errors.Is(err, ErrUnavailable) {
		return nil, err
	}
	return h, nil
}

func (s *TokenSource) session(tokens *Tokens, key *Key) *held {
	now := s.now()
	kept := &session{Version: sessionVersion, Account: s.account, AccessToken: tokens.AccessToken,
		RefreshToken: tokens.RefreshToken, ObtainedAt: now, ExpiresAt: now.Add(tokens.life)}
	if key != nil && key != s.cfg.Client.Key {
		kept.PrivateKey = key.private()
	}
	return hold(kept, key)
}

// keyOf returns the key that a session's tokens are bound to. The error says to
// sign in: the key is not here, or the session has none and should.
func (s *TokenSource) keyOf(kept *session) (*Key, error) {
	key := s.cfg.Client.Key
	if kept.PrivateKey != nil {
		var err error
		if key, err = parseKey(kept.PrivateKey); err != nil {
			return nil, storeError(err)
		}
	}
	said := peekToken(kept.AccessToken)
	if key == nil && s.cfg.BindTo != "" {
		return nil, &Error{Op: opToken, Got: "the session that is kept is bound to no key", Err: ErrSignIn}
	}
	if err := checkBinding(opToken, said, key); err != nil {
		return nil, &Error{Op: opToken, Got: "the session that is kept is bound to another key, or to none", Err: ErrSignIn, Cause: err}
	}
	return key, nil
}

// adopt uses a session from now on, if its token is what it should be.
func (s *TokenSource) adopt(ctx context.Context, h *held) error {
	if h.problem != nil {
		return h.problem
	}
	if err := s.check(ctx, h); err != nil {
		if !errors.Is(err, ErrUnavailable) {
			s.distrusted = h.AccessToken
		}
		return err
	}
	s.current.Store(h)
	return nil
}

// check holds a token against what was asked for, before anybody uses it.
func (s *TokenSource) check(ctx context.Context, h *held) error {
	current := s.current.Load()
	if current != nil && current.AccessToken == h.AccessToken {
		return nil
	}
	wrong := func(got string) error { return &Error{Op: opToken, Got: got, Err: ErrAnswer} }
	if !h.alive(s.now()) {
		return wrong("a token that has expired")
	}
	v := s.cfg.Verifier
	if v == nil {
		return nil
	}
	claims, err := v.Verify(ctx, h.AccessToken)
	switch {
	case errors.Is(err, persauth.ErrUnavailable):
		return &Error{Op: opToken, Got: "the token cannot be verified at the moment", Err: ErrUnavailable, Cause: err}
	case err != nil:
		return &Error{Op: opToken, Got: "the token is not good", Err: ErrAnswer, Cause: err}
	case s.cfg.Tenant != "" && claims.TenantID() != s.cfg.Tenant:
		return wrong("a token of another tenant")
	case s.cfg.Business != "" && claims.BusinessID() != s.cfg.Business:
		return wrong("a token for another business")
	case s.cfg.AuthType != "" && claims.AuthType() != s.cfg.AuthType:
		return wrong("a token of another type")
	}
	return nil
}

// signIn is the flight of [TokenSource.SignIn].
func (s *TokenSource) signIn(ctx context.Context, request Request) error {
	h, err := s.exchange(ctx, request)
	if err != nil {
		return err
	}
	kept, err := h.session.encode()
	if err == nil {
		err = s.cfg.Store.Update(ctx, func([]byte) ([]byte, error) { return kept, nil })
	}
	if err != nil {
		return storeError(err)
	}
	s.unsaved = nil
	return s.adopt(ctx, h)
}

// signOut is the flight of [TokenSource.SignOut].
func (s *TokenSource) signOut(ctx context.Context) error {
	if err := s.cfg.Store.Update(ctx, func([]byte) ([]byte, error) { return nil, nil }); err != nil {
		return storeError(err)
	}
	s.unsaved = nil
	s.current.Store(nil)
	return nil
}

// storeError is an error of the store, if it is not one of this package already.
func storeError(err error) error {
	if e := new(Error); errors.As(err, &e) {
		return err
	}
	return &Error{Op: opStore, Err: ErrStore, Cause: err}
}
