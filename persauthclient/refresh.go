package persauthclient

// What a refresh does, alone among all that share the store: it takes what another
// process has got, or asks PERS, and never loses a refresh token.

import (
	"context"
	"errors"
	"net/http"

	"github.com/persauth/persauth/internal/redact"
)

// refresh brings a token that is fresher than the current one: from the store,
// where another process was faster, or from PERS.
func (s *TokenSource) refresh(ctx context.Context, f *flight, why reason) error {
	if fresh, err := s.load(ctx, f); fresh || err != nil {
		return err
	}
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
	case found == nil && err == nil:
		return storeError(redact.Text("it did not call change"))
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

// load takes what the store has when the program has just started: it needs no lock
// to use a token that lives, also where PERS is away. It reports whether there is
// nothing to refresh.
func (s *TokenSource) load(ctx context.Context, f *flight) (fresh bool, err error) {
	if s.current.Load() != nil {
		return false, nil
	}
	kept, err := s.cfg.Store.Load(ctx)
	if err != nil {
		return false, storeError(err)
	}
	base, err := decodeSession(kept, s.account)
	if base == nil {
		return false, storeError(err)
	}
	key, err := s.keyOf(base)
	if err != nil {
		return false, nil // change says so, or signs in
	}
	now := s.now()
	h := hold(base, key)
	if base.AccessToken == s.distrusted || !h.alive(now) {
		return false, nil
	}
	if err := s.adopt(ctx, h); err != nil {
		return false, err
	}
	if fresh := h.fresh(now); fresh || h.closing(now) {
		return fresh, nil
	}
	close(f.early)
	return false, nil
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
	if err == nil {
		return nil
	}
	if e := new(Error); errors.As(err, &e) {
		return err
	}
	return &Error{Op: opStore, Err: ErrStore, Cause: err}
}
