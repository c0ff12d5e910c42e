package persauth_test

// What is said when a token or a request is refused: to those who run the service,
// in an error, and to the client, in an answer.

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestErrorTextsOfTimes(t *testing.T) {
	v := holding(t, setFor("EdDSA"))
	long := holding(t, setFor("EdDSA"), func(cfg *persauth.Config) { cfg.Leeway = 90 * time.Second })
	none := holding(t, setFor("EdDSA"), func(cfg *persauth.Config) { cfg.Leeway = persauth.NoLeeway })
	const expired, early, kid = "persauth: token has expired: check exp: ", "persauth: token is not valid yet: check ", `, kid "kid-EdDSA"`
	for _, c := range []struct {
		v            *persauth.Verifier
		claims, want string
	}{
		{v, `"exp":1799999970`, expired + "expired 30s ago (at 2027-01-15T07:59:30Z; leeway 30s)"},
		{v, `"exp":1799999925`, expired + "expired 1m15s ago (at 2027-01-15T07:58:45Z; leeway 30s)"},
		{v, `"exp":1799996400`, expired + "expired 1h ago (at 2027-01-15T07:00:00Z; leeway 30s)"},
		{v, `"exp":1799996300`, expired + "expired 1h1m ago (at 2027-01-15T06:58:20Z; leeway 30s)"},
		{long, `"exp":1799740800`, expired + "expired 3 days ago (at 2027-01-12T08:00:00Z; leeway 1m30s)"},
		{none, `"exp":1799999999.75`, expired + "expired 250ms ago (at 2027-01-15T07:59:59Z; leeway 0s)"},
		{v, `"exp":0`, expired + "expired 57 years ago (at 1970-01-01T00:00:00Z; leeway 30s)"},
		{v, `"exp":1900000000,"nbf":1800000600`, early + "nbf: valid in 10m (at 2027-01-15T08:10:00Z; leeway 30s)"},
		{v, `"exp":1900000000,"iat":1800007200`, early + "iat: issued 2h in the future (at 2027-01-15T10:00:00Z; leeway 30s)"},
	} {
		claims, err := c.v.Verify(t.Context(), tokenWith(keyFor("EdDSA"), `{"tenantId":"acme",`+c.claims+`}`))
		require.Nil(t, claims)
		require.EqualError(t, err, c.want+kid, c.claims)
		var detail *persauth.Error
		require.ErrorAs(t, err, &detail)
		assert.NotEmpty(t, detail.Want, "for programs")
	}

	// What passes is told as well as what does not.
	for claims, want := range map[string][]string{
		`"exp":1800000900`: {"expires in 15m (at 2027-01-15T08:15:00Z)", "none", "none"},
		`"exp":1799999990`: {"expired 10s ago (at 2027-01-15T07:59:50Z; leeway 30s)", "none", "none"},
		`"exp":253402300799,"nbf":1799999000,"iat":1799913600`:    {"expires in 7972 years (at 9999-12-31T23:59:59Z)", "valid since 2027-01-15T07:43:20Z", "issued 24h ago (at 2027-01-14T08:00:00Z)"},
		`"exp":1800000900,"nbf":1800000010,"iat":1800000010`:      {"expires in 15m (at 2027-01-15T08:15:00Z)", "valid in 10s (at 2027-01-15T08:00:10Z; leeway 30s)", "issued 10s in the future (at 2027-01-15T08:00:10Z; leeway 30s)"},
		`"exp":1800000900,"nbf":1800000000,"iat":1800000000.5001`: {"expires in 15m (at 2027-01-15T08:15:00Z)", "valid since 2027-01-15T08:00:00Z", "issued 500ms in the future (at 2027-01-15T08:00:00Z; leeway 30s)"},
	} {
		report := v.Explain(t.Context(), tokenWith(keyFor("EdDSA"), `{"tenantId":"acme",`+claims+`}`))
		require.True(t, report.Valid, claims)
		var got []string
		for _, check := range report.Checks {
			if check.Name == "exp" || check.Name == "nbf" || check.Name == "iat" {
				assert.Equal(t, persauth.Passed, check.Result)
				got = append(got, check.Got)
			}
		}
		assert.Equal(t, want, got, claims)
	}
}

func TestErrorTextsOfRequirements(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	claims, err := iss.Verifier().Verify(t.Context(), iss.BusinessToken("acme", "shop", "ADMIN"))
	require.NoError(t, err)
	const prefix = "persauth: not allowed: check "
	const operator = ` (check the service's configuration)`
	request := func(headers ...string) *http.Request { return newRequest(http.MethodGet, "/", headers...) }
	byHeader := persauth.Business(persauth.HeaderValue("x-business"))
	for want, err := range map[string]error{
		`tenant, want a non-empty tenant, got ""` + operator:                   claims.RequireTenant(""),
		`business, want a non-empty business, got ""` + operator:               claims.RequireBusiness(""),
		`auth type, want a non-empty auth type, got none` + operator:           claims.RequireAuthType(),
		`role, want a non-empty role, got ""` + operator:                       claims.RequireBusinessRole("shop", "ADMIN", ""),
		`role, want a non-empty role, got none` + operator:                     claims.RequireBusinessRole("shop"),
		`role in business "shop", want "OWNER", got "ADMIN"`:                   claims.RequireBusinessRole("shop", "OWNER"),
		`header X-Business, want exactly one, and not empty, got none`:         byHeader(request(), claims),
		`header X-Business, want exactly one, and not empty, got 2 of them`:    byHeader(request("X-Business", "shop", "X-Business", "shop"), claims),
		`header X-Business, want exactly one, and not empty, got an empty one`: byHeader(request("X-Business", ""), claims),
		`business, want "till", got "shop"`:                                    byHeader(request("X-Business", "till"), claims),
	} {
		require.ErrorIs(t, err, persauth.ErrForbidden)
		require.EqualError(t, err, prefix+want)
	}
	require.NoError(t, byHeader(request("X-Business", "shop"), claims))
}

// Each answer says what the client can do about it.
func TestAnswerTexts(t *testing.T) {
	b := newBound(t, "ES256")
	b.token = b.iss.BoundToken(b.client, map[string]any{"tenantId": "acme"})
	bearer := b.iss.UserToken("acme")
	origin := func(cfg *persauth.Config) { cfg.DPoP.Origin = "https://shop.example" }
	asking := b.iss.Verifier(origin, func(cfg *persauth.Config) { cfg.DPoP.NonceSecret = make([]byte, 32) })
	required := b.iss.Verifier(origin, func(cfg *persauth.Config) { cfg.DPoP.Mode = persauth.DPoPRequired })
	off := b.iss.Verifier(func(cfg *persauth.Config) { cfg.DPoP.Mode = persauth.DPoPOff })
	unaddressed := b.iss.Verifier()
	pers := persauthtest.NewServer(t, b.iss)
	pers.Fault(persauthtest.EndpointAll, persauthtest.Down)
	away := pers.Verifier()
	proof := b.proof()
	require.NoError(t, b.send(proof))
	other := b.iss.DPoPClient("ES256")

	const bound = "DPoP "
	for _, c := range []struct {
		name    string
		v       *persauth.Verifier
		headers []string
		status  int
		detail  string
	}{
		{"no token", b.v, nil, 401, "Sign in, and send the access token."},
		{"two tokens", b.v, []string{"Authorization", "Bearer a", "Authorization", "Bearer b"}, 400, "Send one access token, in one place."},
		{"expired", b.v, []string{"Authorization", "Bearer " + b.iss.ExpiredToken()}, 401, "The access token has expired. Get a new one."},
		{"not valid yet", b.v, []string{"Authorization", "Bearer " + b.iss.FutureToken()}, 401, "The access token is not valid yet. Try again shortly."},
		{"forged", b.v, []string{"Authorization", "Bearer " + b.iss.ForgedToken()}, 401, "The access token is not accepted. Sign in again."},
		{"bound, as Bearer", b.v, []string{"Authorization", "Bearer " + b.token}, 401,
			"This access token is bound to a key: send it with the scheme DPoP, and with a proof by that key."},
		{"not bound, as DPoP", b.v, []string{"Authorization", "DPoP " + bearer}, 401, "This access token is not bound to a key: send it with the scheme Bearer."},
		{"not bound, where it must be", required, []string{"Authorization", "Bearer " + bearer}, 401,
			"This service only accepts access tokens that are bound to a key (DPoP)."},
		{"not bound, as DPoP, where it must be", required, []string{"Authorization", "DPoP " + bearer}, 401,
			"This service only accepts access tokens that are bound to a key (DPoP)."},
		{"bound, where it must not be", off, []string{"Authorization", bound + b.token}, 401,
			"This service does not accept access tokens that are bound to a key (DPoP)."},
		{"bound, where the address is not known", unaddressed, []string{"Authorization", bound + b.token, "DPoP", b.proof()}, 401,
			"This service does not accept access tokens that are bound to a key (DPoP)."},
		{"no proof", b.v, []string{"Authorization", bound + b.token}, 401,
			"The request needs one DPoP header with a proof that was made for it. Make a new proof."},
		{"a proof for another request", b.v, []string{"Authorization", bound + b.token, "DPoP", b.proof(persauthtest.ProofClaim("htm", "PUT"))}, 401,
			"The request needs one DPoP header with a proof that was made for it. Make a new proof."},
		{"a proof by another key", b.v, []string{"Authorization", bound + b.token, "DPoP", other.Proof(http.MethodGet, shopOrders, b.token)}, 401,
			"The access token is bound to another key than the one that the proof was made with."},
		{"a used proof", b.v, []string{"Authorization", bound + b.token, "DPoP", proof}, 401,
			"The proof in the DPoP header was used before. Make a new proof for each request."},
		{"no nonce", asking, []string{"Authorization", bound + b.token, "DPoP", b.proof()}, 401,
			"The proof needs the nonce in the DPoP-Nonce header. Make a new proof with it."},
		{"PERS is down", away, []string{"Authorization", "Bearer " + bearer}, 503, "Your sign-in cannot be verified right now. Try again shortly."},
		{"not allowed", b.v, []string{"Authorization", "Bearer " + bearer, "X-Tenant", "other"}, 403,
			"Your account may not do this. Signing in again will not help."},
		{"a header that is missing", b.v, []string{"Authorization", "Bearer " + bearer}, 403, "The request needs the header X-Tenant, exactly once."},
		{"a header that comes twice", b.v, []string{"Authorization", "Bearer " + bearer, "X-Tenant", "acme", "X-Tenant", "other"}, 403,
			"The request needs the header X-Tenant, exactly once."},
	} {
		t.Run(c.name, func(t *testing.T) {
			handler := c.v.Require(persauth.Tenant(persauth.HeaderValue("x-tenant")))(callerOf)
			response := serveRequest(handler, newRequest(http.MethodGet, shopOrders, c.headers...))
			var problem struct{ Detail string }
			require.NoError(t, json.NewDecoder(response.Body).Decode(&problem))
			assert.Equal(t, c.status, response.StatusCode)
			assert.Equal(t, c.detail, problem.Detail)
			assert.Equal(t, c.status != 503, len(response.Header["Www-Authenticate"]) > 0)
		})
	}
}
