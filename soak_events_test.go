package persauth_test

// What happens during a fault run.

import (
	"fmt"
	"slices"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
)

// soakFaults are all but the one that nothing tells from the truth.
var soakFaults = []persauthtest.Fault{
	persauthtest.Down, persauthtest.Hanging, persauthtest.CutOff, persauthtest.Garbage, persauthtest.EmptySet, persauthtest.NotAVerdict,
	persauthtest.Contradictory, persauthtest.OtherTenant, persauthtest.OtherSubject, persauthtest.OtherExpiry, persauthtest.OtherClaim("jti", "another"),
	persauthtest.Status(400), persauthtest.Status(401), persauthtest.Status(404), persauthtest.Status(500), persauthtest.Status(503),
	persauthtest.TooManyRequests(0), persauthtest.TooManyRequests(time.Second),
	persauthtest.Slow(50 * time.Millisecond), persauthtest.Slow(700 * time.Millisecond),
	persauthtest.RedirectTo("http://127.0.0.1:1/"), persauthtest.Answer(200, `{"valid":null}`),
	persauthtest.LyingInvalid,
}

// disturb makes PERS fail for a while: now and then for long, now and then in a
// few requests only.
func (s *soak) disturb() {
	s.mu.Lock()
	fault := soakFaults[s.random.IntN(len(soakFaults))]
	where := []persauthtest.Endpoint{persauthtest.EndpointAll, persauthtest.EndpointVerify, persauthtest.EndpointVerify, persauthtest.EndpointKeys}[s.random.IntN(4)]
	lasts := time.Duration(s.random.Int64N(int64(500 * time.Millisecond)))
	switch s.random.IntN(8) {
	case 0:
		lasts += 4 * time.Second
	case 1, 2, 3:
		fault = fault.Times(1 + s.random.IntN(3))
	}
	s.mu.Unlock()
	s.fail(where, fault, false)
	s.rest(lasts)
	s.heal(false)
}

// fail makes PERS fail from now on, and heal puts it right. What is done for good
// is not undone by disturb.
func (s *soak) fail(where persauthtest.Endpoint, fault persauthtest.Fault, forGood bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.settled && !forGood {
		return
	}
	s.faulty = true
	if fault.String() == persauthtest.LyingInvalid.String() {
		s.lying = true
	}
	s.current.Load().troubled.set(soakNow())
	s.pers.Fault(where, fault)
}

func (s *soak) heal(forGood bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.settled && !forGood {
		return
	}
	s.pers.Heal()
	if s.lying {
		s.lying, s.lied = false, soakNow()+soakTimeout+lateness // who asked before may learn of it after
	}
	s.faulty, s.settled = false, forGood
}

// mint makes tokens, and lets go of the oldest ones.
func (s *soak) mint(n int) {
	tokens := slices.Clone(*s.tokens.Load())
	for range n {
		s.mu.Lock()
		keys := s.iss.Keys()
		key := keys[s.random.IntN(len(keys))]
		kind := s.random.IntN(20)
		life := int64(1 + s.random.IntN(3))
		s.mu.Unlock()
		exp := func(seconds int64) int64 { return soakClock().Unix() + seconds }
		at := func(unix int64) moment { return time.Unix(unix, 0).Sub(soakBase.Round(0)) }
		claims := map[string]any{"exp": exp(3600), "sub": fmt.Sprint("subject-", len(tokens)%7)}
		if kind%2 == 0 {
			claims["iat"] = nil // or a clock that is behind refuses them all
		}
		t := &soakToken{kind: "good", minted: soakNow(), exp: at(exp(3600)), key: s.keyOf(key)}
		switch kind {
		case 0, 1:
			t.kind, claims["exp"], t.exp = "short", exp(life), at(exp(life))
		case 2, 3:
			key = s.iss.UnpublishedKey()
			t.kind, t.key = "unpublished", s.keyOf(key)
		}
		t.text = s.iss.TokenBy(key, claims)
		switch kind {
		case 4:
			t.kind, t.text = "forged", s.iss.ForgedToken()
		case 5:
			t.kind, t.text = "tampered", s.iss.TamperedToken()
		case 6:
			t.kind, t.text = "expired", s.iss.ExpiredToken()
		case 7:
			t.kind, t.text = "unknown", s.iss.UnknownKeyToken()
		}
		tokens = append(tokens, t)
	}
	tokens = tokens[max(0, len(tokens)-100):]
	s.tokens.Store(&tokens)
}

func (s *soak) keyOf(key *persauthtest.Key) *soakKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.keys[key]
	if k == nil {
		k = &soakKey{id: key.ID}
		s.keys[key] = k
	}
	return k
}

// revoke revokes a token, at PERS or here, by itself or by its id.
func (s *soak) revoke() {
	s.mu.Lock()
	tokens := *s.tokens.Load()
	t := tokens[s.random.IntN(len(tokens))]
	atPERS := s.random.IntN(3) > 0
	in := s.current.Load()
	s.mu.Unlock()
	if !t.valid() {
		return
	}
	if atPERS {
		t.revoked.begun.set(soakNow())
		s.pers.Revoke(t.text)
		t.revoked.done.set(soakNow())
		return
	}
	n := in.note(t)
	n.revoked.begun.set(soakNow())
	for _, v := range []*persauth.Verifier{in.asking, in.trusting} {
		if err := v.Revoke(persauth.Revocation{Token: t.text}); err != nil {
			s.t.Error(err)
		}
	}
	n.revoked.done.set(soakNow())
}

// rotate publishes a new key, and takes one of the older ones back: it is only
// published no longer, or good for nothing.
func (s *soak) rotate() {
	s.iss.Rotate()
	keys := s.iss.Keys()
	if len(keys) <= 3 {
		return
	}
	old := s.keyOf(keys[0])
	old.retired.begun.set(soakNow())
	if s.draw(2) == 0 {
		old.forgotten.begun.set(soakNow())
		s.iss.Forget(keys[0])
		old.forgotten.done.set(soakNow())
	} else {
		s.iss.Retire(keys[0])
	}
	old.retired.done.set(soakNow())
}
