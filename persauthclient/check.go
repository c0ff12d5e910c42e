package persauthclient

// What a token must be before anybody uses it.

import (
	"context"
	"errors"

	"github.com/persauth/persauth"
)

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
	claims, err := v.VerifyWithoutProof(ctx, h.AccessToken) // a service asks for the proof
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
