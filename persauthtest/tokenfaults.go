package persauthtest

// What can go wrong with the answers of /auth/token and /auth/refresh alone. The
// other endpoints stay in order.

import (
	"encoding/json"
	"net/http"
	"time"
)

var (
	// LostAnswer: the endpoint does what it was asked, and its answer is lost on
	// the way. After a refresh, the old refresh token is used up.
	LostAnswer = handedOut("lost answer", func(x *exchange, a reply) {
		if a.commit != nil {
			a.commit()
		}
		x.reset()
	})
	// NotTokens: JSON that has no tokens in it.
	NotTokens = handedOut("not tokens", func(x *exchange, _ reply) { x.send(ok(map[string]string{"status": "ok"})) })
	// ForeignTokens: the access token is another tenant's.
	ForeignTokens = otherClaims("foreign tokens", func(map[string]any, *Clock) map[string]any {
		return map[string]any{"tenantId": foreignTenant}
	})
	// UnboundTokens: the access token is bound to no key, whatever was asked for.
	UnboundTokens = otherClaims("unbound tokens", func(map[string]any, *Clock) map[string]any {
		return map[string]any{"cnf": nil}
	})
	// StaleTokens: the access token was good until an hour ago.
	StaleTokens = otherClaims("stale tokens", func(_ map[string]any, clock *Clock) map[string]any {
		now := clock.Now()
		return map[string]any{"iat": now.Add(-2 * time.Hour).Unix(), "exp": now.Add(-time.Hour).Unix()}
	})
	// SameRefreshToken: the refresh token is not replaced, and stays good.
	SameRefreshToken = handedOut("same refresh token", func(x *exchange, a reply) {
		var asked question
		if x.endpoint == EndpointRefresh && a.status == http.StatusOK && json.Unmarshal(x.body, &asked) == nil {
			a.commit = nil
			a.body = marshal(map[string]string{"accessToken": pairOf(a).AccessToken, "refreshToken": asked.RefreshToken})
		}
		x.send(a)
	})
)

// OtherTokens is a lie: the access token has other values for its claims. A nil
// value takes a claim out.
func OtherTokens(claims map[string]any) Fault {
	return otherClaims("other tokens", func(map[string]any, *Clock) map[string]any { return claims })
}

// handedOut is a fault of the endpoints that hand tokens out.
func handedOut(name string, act func(*exchange, reply)) Fault {
	return fault(name, func(x *exchange) {
		if x.endpoint != EndpointToken && x.endpoint != EndpointRefresh {
			x.send(x.right())
			return
		}
		act(x, x.right())
	})
}

// otherClaims changes the claims of the access token, and signs it again.
func otherClaims(name string, changes func(claims map[string]any, clock *Clock) map[string]any) Fault {
	return handedOut(name, func(x *exchange, a reply) {
		if a.commit == nil { // a refusal
			x.send(a)
			return
		}
		commit := a.commit
		a.commit = func() reply {
			a := commit()
			pair := pairOf(a)
			claims := claimsOf(pair.AccessToken)
			if claims == nil { // a refusal after all
				return a
			}
			iss := x.server.iss
			for name, value := range changes(claims, iss.clock) {
				claims[name] = value
			}
			pair.AccessToken = iss.Token(claims)
			a.body = marshal(pair)
			return a
		}
		x.send(a)
	})
}

type tokenPair struct {
	AccessToken  string `json:"accessToken"`
	RefreshToken string `json:"refreshToken"`
}

func pairOf(a reply) (pair tokenPair) {
	_ = json.Unmarshal(a.body, &pair) // a refusal has none
	return pair
}
