package persauthtest

// Tokens for services under test that call other services.

import (
	"context"
	"net/url"
	"strings"
	"sync"
	"time"
)

// TokenSource hands out the tokens of one caller, as the token source of
// persauthclient does: it is one of that package's Sources, without a PERS to ask.
// Each token is used until a minute before it expires by the issuer's [Clock]. It
// is safe for concurrent use.
type TokenSource struct {
	iss    *Issuer
	claims any
	client *DPoPClient // nil: the tokens are bound to no key

	mu      sync.Mutex
	token   string
	expiry  time.Time
	err     error
	issued  int
	refused int
}

// TokenSource makes a source of tokens with these claims: see [Issuer.Token].
func (iss *Issuer) TokenSource(claims any) *TokenSource {
	return &TokenSource{iss: iss, claims: claims}
}

// BoundTokenSource makes a source of tokens that are bound to a client's key, and
// of its proofs: see [Issuer.BoundToken].
func (iss *Issuer) BoundTokenSource(client *DPoPClient, claims any) *TokenSource {
	return &TokenSource{iss: iss, claims: claims, client: client}
}

// Authorize returns the values of the headers Authorization and DPoP for a
// request. The second is empty where the tokens are bound to no key.
func (s *TokenSource) Authorize(_ context.Context, method string, target *url.URL, nonce string) (authorization, proof string, err error) {
	token, err := s.AccessToken()
	if err != nil || s.client == nil {
		return "Bearer " + token, "", err
	}
	changes := []ProofChange{}
	if nonce != "" {
		changes = append(changes, ProofClaim("nonce", nonce))
	}
	address := *target
	address.RawQuery, address.ForceQuery, address.Fragment, address.RawFragment = "", false, "", "" // RFC 9449 §4.2
	return "DPoP " + token, s.client.Proof(method, address.String(), token, changes...), nil
}

// Renew is told that a service did not accept a token, and makes another one.
func (s *TokenSource) Renew(_ context.Context, authorization string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused++
	if strings.HasSuffix(authorization, " "+s.token) {
		s.token = ""
	}
	return s.err
}

// AccessToken returns the token of the moment.
func (s *TokenSource) AccessToken() (string, error) {
	s.iss.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return "", s.err
	}
	if now := s.iss.clock.Now(); s.token == "" || !now.Before(s.expiry.Add(-time.Minute)) {
		if s.client != nil {
			s.token = s.iss.BoundToken(s.client, s.claims)
		} else {
			s.token = s.iss.Token(s.claims)
		}
		s.expiry = now.Add(s.iss.life(s.token))
		s.issued++
	}
	return s.token, nil
}

// Fail makes the source fail with err from now on, as where PERS is away or the
// session has ended; nil ends that.
func (s *TokenSource) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err, s.token = err, ""
}

// Issued returns how many tokens there have been.
func (s *TokenSource) Issued() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.issued
}

// Refused returns how many times [TokenSource.Renew] was called.
func (s *TokenSource) Refused() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused
}
