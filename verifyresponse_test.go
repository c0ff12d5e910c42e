package persauth_test

// Which responses of POST /auth/verify are valid.

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Every answer is tried on a token under an unknown key, where it decides, and
// on one under a known key, where it may only take away. nil: accepted; bare:
// accepted under a known key alone, because the answer does not name the tenant.
func TestVerdicts(t *testing.T) {
	own := map[string]any{"sub": "user-7", "tenantId": "acme", "businessId": "shop", "jti": "id-7",
		"role": []string{"ADMIN", "EDITOR"}, "authType": "business", "cnf": map[string]string{"jkt": "thumbprint"},
		"iat": time.Now().Unix(), "exp": time.Now().AddDate(1, 0, 0).Unix()}
	// with is an answer that vouches for the token, with a claim changed in
	// its payload; without, one that lacks it.
	var with func(claim string, value any) string
	type left struct{}
	without := func(claim string) string { return with(claim, left{}) }
	with = func(claim string, value any) string {
		payload := maps.Clone(own)
		if payload[claim] = value; claim == "" || value == (any)(left{}) {
			delete(payload, claim)
		}
		raw, err := json.Marshal(map[string]any{"valid": true, "payload": payload, "tenantId": "acme"})
		require.NoError(t, err)
		return string(raw)
	}
	twice := func(member string) string {
		return strings.Replace(with("", nil), `"sub":"user-7"`, `"sub":"user-7",`+member, 1)
	}
	var (
		rejected    = persauth.ErrRejected
		mismatch    = persauth.ErrRemoteMismatch
		unavailable = persauth.ErrUnavailable
		bare        = errors.New("accepted under a known key")
	)
	for _, c := range []struct {
		name   string
		status int
		body   string
		want   error
	}{
		{"nothing but valid", 200, `{"valid":true}`, bare},
		{"all of it", 200, with("", nil), nil},
		{"201", 201, with("", nil), nil},
		{"unknown members", 200, `{"valid":true,"identifierEmail":null,"more":{"valid":false}}`, bare},
		{"white space", 200, " \n{ \"valid\" : true }\n", bare},

		{"not valid", 200, `{"valid":false}`, rejected},
		{"not valid, with a reason", 200, `{"valid":false,"payload":null,"errorMessage":"Token is revoked"}`, rejected},
		{"not valid, with another payload", 200, `{"valid":false,"payload":{"sub":"x"},"tenantId":"other"}`, rejected},
		{"valid missing", 200, `{"payload":null,"tenantId":"acme"}`, mismatch},
		{"valid in capitals", 200, `{"Valid":true}`, mismatch},
		{"valid null", 200, `{"valid":null}`, mismatch},
		{"valid a string", 200, `{"valid":"true"}`, mismatch},
		{"valid a number", 200, `{"valid":1}`, mismatch},
		{"valid twice", 200, `{"valid":true,"valid":true}`, mismatch},
		{"valid and not valid", 200, `{"valid":false,"valid":true}`, mismatch},

		{"errorMessage empty", 200, `{"valid":true,"errorMessage":""}`, bare},
		{"errorMessage null", 200, `{"valid":true,"errorMessage":null}`, bare},
		{"errorMessage", 200, `{"valid":true,"errorMessage":"Invalid token"}`, mismatch},
		{"errorMessage blank", 200, `{"valid":true,"errorMessage":" "}`, mismatch},
		{"errorMessage a boolean", 200, `{"valid":true,"errorMessage":false}`, mismatch},
		{"the documented example", 200, `{"valid":true,"payload":null,"tenantId":"1","identifierEmail":"a@b.c","errorMessage":"Invalid token"}`, mismatch},

		{"tenantId", 200, `{"valid":true,"tenantId":"acme"}`, nil},
		{"tenantId null", 200, `{"valid":true,"tenantId":null}`, bare},
		{"tenantId empty", 200, `{"valid":true,"tenantId":""}`, bare},
		{"tenantId other", 200, `{"valid":true,"tenantId":"other"}`, mismatch},
		{"tenantId in capitals", 200, `{"valid":true,"tenantId":"ACME"}`, mismatch},
		{"tenantId a number", 200, `{"valid":true,"tenantId":1}`, mismatch},

		{"payload null", 200, `{"valid":true,"payload":null}`, bare},
		{"payload an array", 200, `{"valid":true,"payload":[]}`, mismatch},
		{"payload a string", 200, `{"valid":true,"payload":"user-7"}`, mismatch},
		{"payload false", 200, `{"valid":true,"payload":false}`, mismatch},
		{"payload empty", 200, `{"valid":true,"payload":{}}`, bare},
		{"payload empty, tenantId", 200, `{"valid":true,"payload":{},"tenantId":"acme"}`, nil},
		{"payload names the tenant", 200, `{"valid":true,"payload":{"tenantId":"acme"}}`, nil},
		{"payload names the tenant, tenantId another", 200, `{"valid":true,"payload":{"tenantId":"acme"},"tenantId":"other"}`, mismatch},
		{"payload names another tenant", 200, `{"valid":true,"payload":{"tenantId":"other"},"tenantId":"acme"}`, mismatch},
		{"payload names the tenant null", 200, `{"valid":true,"payload":{"tenantId":null},"tenantId":"acme"}`, mismatch},
		{"payload names the tenant empty", 200, `{"valid":true,"payload":{"tenantId":""},"tenantId":"acme"}`, mismatch},
		{"payload with more", 200, with("more", []int{1}), nil},
		{"payload with sub twice", 200, twice(`"sub":"user-7"`), mismatch},
		{"payload with something twice", 200, twice(`"more":1,"more":1`), mismatch},
		{"other sub", 200, with("sub", "user-8"), mismatch},
		{"no sub", 200, without("sub"), nil},
		{"sub null", 200, with("sub", nil), mismatch},
		{"sub a number", 200, with("sub", 7), mismatch},
		{"other tenant", 200, with("tenantId", "other"), mismatch},
		{"no tenant", 200, without("tenantId"), nil},
		{"other business", 200, with("businessId", "office"), mismatch},
		{"no business", 200, without("businessId"), nil},
		{"business null", 200, with("businessId", nil), mismatch},
		{"other role", 200, with("role", "OWNER"), mismatch},
		{"one role less", 200, with("role", "ADMIN"), mismatch},
		{"one role more", 200, with("role", []string{"ADMIN", "EDITOR", "OWNER"}), mismatch},
		{"roles in one text", 200, with("role", "ADMIN,EDITOR"), mismatch},
		{"roles empty", 200, with("role", []string{}), mismatch},
		{"roles null", 200, with("role", nil), mismatch},
		{"roles a number", 200, with("role", 7), mismatch},
		{"no role", 200, without("role"), nil},
		{"other authType", 200, with("authType", "tenant"), mismatch},
		{"authType in capitals", 200, with("authType", "BUSINESS"), mismatch},
		{"no authType", 200, without("authType"), nil},
		{"other cnf", 200, with("cnf", map[string]string{"jkt": "another"}), mismatch},
		{"cnf of another kind", 200, with("cnf", map[string]string{"x5t#S256": "thumbprint"}), mismatch},
		{"cnf empty", 200, with("cnf", map[string]string{}), mismatch},
		{"cnf a string", 200, with("cnf", "thumbprint"), mismatch},
		{"cnf null", 200, with("cnf", nil), mismatch},
		{"no cnf", 200, without("cnf"), nil},
		{"other exp", 200, with("exp", own["exp"].(int64)+1), mismatch},
		{"the same exp in another form", 200, with("exp", json.Number(fmt.Sprint(own["exp"], ".0"))), nil},
		{"no exp", 200, without("exp"), nil},
		{"exp null", 200, with("exp", nil), mismatch},
		{"exp a string", 200, with("exp", fmt.Sprint(own["exp"])), mismatch},
		{"other jti", 200, with("jti", "id-8"), mismatch},
		{"no jti", 200, without("jti"), nil},

		{"no content", 200, ``, mismatch},
		{"204", 204, ``, mismatch},
		{"null", 200, `null`, mismatch},
		{"true", 200, `true`, mismatch},
		{"an array", 200, `[{"valid":true}]`, mismatch},
		{"cut off", 200, `{"valid":true`, mismatch},
		{"two answers", 200, `{"valid":true}{"valid":true}`, mismatch},
		{"invalid UTF-8", 200, "{\"valid\":true,\"errorMessage\":\"\xff\"}", mismatch},
		{"deep", 200, `{"valid":true,"more":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, mismatch},
		{"HTML", 200, `<html>`, mismatch},
		{"200 KiB", 200, `{"valid":true,"more":"` + strings.Repeat("x", 200<<10) + `"}`, bare},
		{"300 KiB", 200, `{"valid":true,"more":"` + strings.Repeat("x", 300<<10) + `"}`, unavailable},

		{"300", 300, with("", nil), unavailable},
		{"304", 304, ``, unavailable},
		{"400", 400, with("", nil), unavailable},
		{"400 that refuses", 400, `{"valid":false}`, unavailable},
		{"401", 401, `{"valid":false}`, unavailable},
		{"403", 403, `{"valid":false}`, unavailable},
		{"404", 404, `{"valid":false}`, unavailable},
		{"422", 422, `{"valid":false}`, unavailable},
		{"429", 429, `{"valid":true}`, unavailable},
		{"500", 500, with("", nil), unavailable},
		{"503", 503, with("", nil), unavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			iss := persauthtest.NewIssuer(t, persauthtest.WithAlgorithms("EdDSA"))
			server := persauthtest.NewServer(t, iss, persauthtest.InMemory())
			server.Fault(persauthtest.EndpointVerify, persauthtest.Answer(c.status, c.body))
			for _, key := range []string{"unknown", "known"} {
				token, want := iss.UnpublishedToken(own), c.want
				if errors.Is(want, bare) {
					want = mismatch
				}
				if key == "known" {
					token = iss.Token(own)
					if errors.Is(c.want, bare) {
						want = nil
					}
					if errors.Is(want, rejected) {
						want = persauth.ErrRevoked // its signature is good
					}
				}
				v := server.Verifier()
				claims, err := v.VerifyWithoutProof(t.Context(), token)
				require.ErrorIs(t, err, want, key)
				assert.Equal(t, want != nil, claims == nil, key)
				// These are never mixed up.
				maybe := errors.Is(want, mismatch) || errors.Is(want, unavailable)
				assert.Equal(t, maybe, errors.Is(err, unavailable), "%s: %v", key, err)
				assert.Equal(t, errors.Is(want, mismatch), errors.Is(err, mismatch), "%s: %v", key, err)
				if maybe {
					assert.NotErrorIs(t, err, rejected, key)
					assert.NotErrorIs(t, err, persauth.ErrRevoked, key)
				}
			}
		})
	}
}

// A claim that the token does not have is not had by an answer that has it in
// some other form.
func TestClaimsThatOnlyTheAnswerHas(t *testing.T) {
	for _, claim := range []string{"sub", "businessId", "jti", "role", "authType", "cnf"} {
		for _, value := range []any{7, true, map[string]any{"jkt": "x"}, []string{"x"}, "x"} {
			iss := persauthtest.NewIssuer(t, persauthtest.WithAlgorithms("EdDSA"))
			server := persauthtest.NewServer(t, iss, persauthtest.InMemory())
			token := iss.UnpublishedToken(map[string]any{"sub": nil, "businessId": nil, "jti": nil, "authType": nil})
			server.Fault(persauthtest.EndpointVerify, persauthtest.OtherClaim(claim, value))
			_, err := server.Verifier().VerifyWithoutProof(t.Context(), token)
			assert.ErrorIs(t, err, persauth.ErrRemoteMismatch, "%s: %v", claim, value)
		}
	}
}

// A token whose key is not at hand is the tenant's only when the answer says so:
// key sets are per tenant, and so is the project key. A claim of the token is a
// stranger's word, wherever it stands.
func TestAnswerNamesTheTenant(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		want error
	}{
		"bare":                  {`{"valid":true}`, persauth.ErrRemoteMismatch},
		"tenantId":              {`{"valid":true,"tenantId":"victim"}`, nil},
		"in the payload":        {`{"valid":true,"payload":{"context":{"tenant":"victim"}}}`, nil},
		"by another name":       {`{"valid":true,"payload":{"tenantId":"victim"}}`, persauth.ErrRemoteMismatch},
		"another":               {`{"valid":true,"tenantId":"ours"}`, persauth.ErrRemoteMismatch},
		"another, deep":         {`{"valid":true,"tenantId":"victim","payload":{"context":{"tenant":"ours"}}}`, persauth.ErrRemoteMismatch},
		"no object on the way":  {`{"valid":true,"tenantId":"victim","payload":{"context":"victim"}}`, persauth.ErrRemoteMismatch},
		"nothing at the place":  {`{"valid":true,"payload":{"context":{}}}`, persauth.ErrRemoteMismatch},
		"an empty place":        {`{"valid":true,"payload":{"context":{"tenant":null}}}`, persauth.ErrRemoteMismatch},
		"a payload that is one": {`{"valid":true,"payload":null,"tenantId":"victim"}`, nil},
	} {
		for _, kind := range []string{"unknown key", "symmetric"} {
			inBubble(t, name+", "+kind, func(t *testing.T) {
				pers := newLab(t)
				pers.Fault(persauthtest.EndpointVerify, persauthtest.Answer(200, c.body))
				v := pers.warm(func(cfg *persauth.Config) {
					cfg.ClaimNames.Tenant, cfg.RemoteAlgorithms = "context.tenant", []string{"HS256"}
				})
				claims := map[string]any{"context": map[string]any{"tenant": "victim"}}
				token := pers.iss.UnpublishedToken(claims)
				if kind == "symmetric" {
					token = pers.iss.SymmetricToken(claims)
				}
				if c.want != nil {
					refuses(t, v, token, c.want)
				} else {
					assert.Equal(t, "victim", accepts(t, v, token).TenantID())
				}
			})
		}
	}
}
