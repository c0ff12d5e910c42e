package persauthtest

// What the fake PERS API keeps for a while: sessions, refresh tokens,
// revocations and used proofs, for as long as PERS says that they live. What is
// not documented is as strict as it can be: a refresh token is good once, and one
// that is used again ends its session (RFC 9700 §4.14.2).

import (
	"crypto/rand"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/patrickmn/go-cache"
	"github.com/persauth/persauth"
)

const (
	accessLife  = 15 * time.Minute
	refreshLife = 24 * time.Hour
	systemLife  = 366 * 24 * time.Hour

	// sweepEvery is after how many entries those that are over are removed.
	sweepEvery = 256

	jtiPrefix = "jti:" // no signing input has a colon
)

// Membership is a business that a caller may act for.
type Membership struct {
	BusinessID string `json:"businessId"`
	// Name is only shown.
	Name string `json:"name,omitempty"`
	// Role is the "role" of the tokens. Empty: "ADMIN".
	Role string `json:"role,omitempty"`
}

// WithMemberships says which businesses callers may act for: with one of them a
// business session needs no context, with none there is none. Without this
// option there are two, and any other business is accepted as well.
func WithMemberships(memberships ...Membership) ServerOption {
	return func(o *serverOptions) { o.memberships = append([]Membership{}, memberships...) }
}

// WithReuseGrace lets a refresh token be used again for d after it was used, as
// long as its successor was not: the answer is the same again. It is for clients
// whose answer was lost. Without it a second use ends the session.
func WithReuseGrace(d time.Duration) ServerOption {
	return func(o *serverOptions) { o.reuseGrace = d }
}

// WithTokenNonces makes /auth/token and /auth/refresh ask for a nonce in proofs
// (RFC 9449 §8).
func WithTokenNonces() ServerOption { return func(o *serverOptions) { o.nonces = true } }

// sessions is the server's memory. Entries leave it by the system's clock, or
// the bubble's, and are held against the issuer's clock when they are used.
type sessions struct {
	clock *Clock
	grace time.Duration

	mu      sync.Mutex
	kept    *cache.Cache // *session by its id
	grants  *cache.Cache // *grant by the "jti" of its refresh token
	revoked *cache.Cache // by signing input or jtiPrefix and "jti"
	proofs  *cache.Cache // ids of used proofs
	entries int          // since the last sweep
}

// session is a caller who signed in.
type session struct {
	id     string
	claims map[string]any // of its access tokens
	jkt    string         // of the key that its tokens are bound to, or empty
}

// grant is a refresh token.
type grant struct {
	session string
	used    time.Time // zero: not yet
	answer  reply     // that it was used for
	next    string    // the "jti" of the refresh token in that answer
}

func newSessions(clock *Clock, grace time.Duration) *sessions {
	// Without go-cache's janitor: a goroutine would outlive the test.
	return &sessions{clock: clock, grace: grace, kept: cache.New(refreshLife, 0), grants: cache.New(refreshLife, 0),
		revoked: cache.New(systemLife, 0), proofs: cache.New(2*proofAge, 0)}
}

// sweep removes what is over, now and then. The caller holds mu.
func (m *sessions) sweep() {
	if m.entries++; m.entries < sweepEvery {
		return
	}
	m.entries = 0
	for _, c := range []*cache.Cache{m.kept, m.grants, m.revoked, m.proofs} {
		c.DeleteExpired()
	}
}

func (m *sessions) revoke(name string, life time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sweep()
	m.revoked.Set(name, true, max(life, time.Minute))
}

func (m *sessions) isRevoked(name string) bool {
	_, revoked := m.revoked.Get(name)
	return revoked
}

// firstUse notes a proof and reports whether it was not used before.
func (m *sessions) firstUse(proof string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sweep()
	return m.proofs.Add(proof, true, cache.DefaultExpiration) == nil
}

// life returns how long a token lives from now on, or a year where it does not
// say.
func (iss *Issuer) life(token string) time.Duration {
	if exp, ok := claimsOf(token)["exp"].(float64); ok && exp < 1e10 {
		return time.Unix(int64(exp), 0).Sub(iss.clock.Now())
	}
	return systemLife
}

// signIn is the right answer of /auth/token.
func (x *exchange) signIn(asked question) reply {
	s := x.server
	claims := map[string]any{"authType": asked.AuthType}
	if asked.Context.TenantID != "" {
		claims["tenantId"] = asked.Context.TenantID
	}
	if sub, ok := claimsOf(asked.AuthToken)["sub"].(string); ok && sub != "" {
		claims["sub"] = sub // the provider says who it is
	}
	switch asked.AuthType {
	case "":
		claims["authType"] = persauth.AuthUser
	case persauth.AuthUser, persauth.AuthSystem, persauth.AuthExternal:
	case persauth.AuthBusiness:
		member, refusal := s.member(asked.Context.BusinessID)
		if refusal != nil {
			return *refusal
		}
		claims["businessId"], claims["role"] = member.BusinessID, member.Role
	case persauth.AuthTenant:
		claims["role"] = "TENANT_ADMIN"
	default:
		return problem(http.StatusBadRequest, "authType must be one of user, business, tenant, system and external")
	}
	jkt, refusal := x.boundTo()
	if refusal != nil {
		return *refusal
	}
	if s.isRevoked(asked.AuthToken, "") {
		return problem(http.StatusUnauthorized, "Invalid token")
	}
	signedIn := &session{id: rand.Text(), claims: claims, jkt: jkt}
	a, next := s.pair(signedIn)
	a.commit = func() reply {
		s.sessions.mu.Lock()
		defer s.sessions.mu.Unlock()
		s.sessions.add(signedIn, next)
		return a
	}
	return a
}

// member returns the membership that a business session is for.
func (s *Server) member(business string) (Membership, *reply) {
	members := s.memberships
	if members == nil {
		members = []Membership{{BusinessID: DefaultBusiness}, {BusinessID: otherBusiness}}
		if business != "" {
			members = append(members, Membership{BusinessID: business})
		}
	}
	i := slices.IndexFunc(members, func(m Membership) bool { return m.BusinessID == business })
	switch {
	case business == "" && len(members) == 1:
		i = 0
	case business == "" && len(members) > 1:
		return Membership{}, &reply{status: http.StatusBadRequest, body: marshal(map[string]any{
			"statusCode": http.StatusBadRequest,
			"message":    "MULTIPLE_CONTEXT_SELECTION_REQUIRED",
			"options":    members,
		})}
	case i < 0:
		a := problem(http.StatusForbidden, "No such membership")
		return Membership{}, &a
	}
	member := members[i]
	if member.Role == "" {
		member.Role = "ADMIN"
	}
	return member, nil
}

// pair issues an access token and a refresh token for a session, and returns the
// refresh token's "jti". Nothing is kept yet.
func (s *Server) pair(of *session) (reply, string) {
	access, again := maps.Clone(of.claims), maps.Clone(of.claims)
	if of.jkt != "" {
		access["cnf"] = map[string]string{"jkt": of.jkt}
	}
	kind := "USER_JWT_REFRESH_TOKEN"
	if of.claims["authType"] == persauth.AuthTenant {
		kind = "ADMIN_JWT_REFRESH_TOKEN"
	}
	now := s.iss.clock.Now()
	next := rand.Text()
	access["exp"] = now.Add(accessLife).Unix()
	again["type"], again["exp"], again["jti"] = kind, now.Add(refreshLife).Unix(), next
	return ok(map[string]string{"accessToken": s.iss.Token(access), "refreshToken": s.iss.SymmetricToken(again)}), next
}

// add keeps a session and the refresh token that it has from now on. The caller
// holds mu.
func (m *sessions) add(of *session, next string) {
	m.sweep()
	m.kept.Set(of.id, of, refreshLife)
	m.grants.Set(next, &grant{session: of.id}, refreshLife)
}

var badRefresh = problem(http.StatusUnauthorized, "Invalid refresh token")

// refresh is the right answer of /auth/refresh.
func (x *exchange) refresh(token string) reply {
	s := x.server
	jti, _ := claimsOf(token)["jti"].(string)
	if !s.judge(token).Valid {
		return badRefresh
	}
	jkt, refusal := x.boundTo()
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	of, held := s.sessions.find(jti)
	switch {
	case of == nil:
		return badRefresh
	case refusal != nil:
		return *refusal
	case jkt != of.jkt:
		return badProof("the refresh token is bound to another key, or to none")
	case !held.used.IsZero():
		if a, again := s.sessions.again(held); again {
			return a
		}
		s.sessions.kept.Delete(of.id)
		return badRefresh
	}
	a, next := s.pair(of)
	a.commit = func() reply {
		s.sessions.mu.Lock()
		defer s.sessions.mu.Unlock()
		if of, held = s.sessions.find(jti); of == nil {
			return badRefresh
		}
		if !held.used.IsZero() { // another request was faster
			if a, again := s.sessions.again(held); again {
				return a
			}
			s.sessions.kept.Delete(of.id)
			return badRefresh
		}
		held.used, held.next = s.iss.clock.Now(), next
		held.answer = reply{status: a.status, body: a.body}
		s.sessions.add(of, next)
		return a
	}
	return a
}

// find returns a refresh token and its session, or nil. The caller holds mu.
func (m *sessions) find(jti string) (*session, *grant) {
	found, _ := m.grants.Get(jti)
	held, ok := found.(*grant)
	if !ok {
		return nil, nil
	}
	kept, _ := m.kept.Get(held.session)
	of, _ := kept.(*session)
	return of, held
}

// again returns the answer of a refresh token that was used, where it may be
// used again. The caller holds mu.
func (m *sessions) again(held *grant) (reply, bool) {
	if m.clock.Now().Sub(held.used) > m.grace || m.grace <= 0 {
		return reply{}, false
	}
	_, next := m.find(held.next)
	return held.answer, next != nil && next.used.IsZero()
}
