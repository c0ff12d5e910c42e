package persauth_test

// Proofs of a client's key (RFC 9449 §4.3, §7.1): every rule on both sides of its
// edge. Addresses are in htu_test.go.

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The proof of RFC 9449 §7.1, figure 13.
const rfcProof = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJo" +
	"RjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19" +
	".eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIs" +
	"ImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9" +
	".2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"

const shopOrders = "https://shop.example/orders"

// bound is a service, a client, and a token that is bound to the client's key.
type bound struct {
	iss    *persauthtest.Issuer
	v      *persauth.Verifier
	client *persauthtest.DPoPClient
	token  string
}

// newBound makes them. Their clock stands still, on a full second.
func newBound(t testing.TB, algorithm string, changes ...func(*persauth.Config)) *bound {
	iss := persauthtest.NewIssuer(t)
	iss.Clock().Set(time.Unix(1_900_000_000, 0))
	b := &bound{iss: iss, client: iss.DPoPClient(algorithm)}
	b.v = iss.Verifier(append([]func(*persauth.Config){func(cfg *persauth.Config) {
		cfg.DPoP.Origin = "https://shop.example"
	}}, changes...)...)
	b.token = iss.BoundToken(b.client, map[string]any{"tenantId": "acme"})
	return b
}

// send verifies a request for shopOrders with these DPoP headers.
func (b *bound) send(proofs ...string) error {
	r := newRequest(http.MethodGet, shopOrders, "Authorization", "DPoP "+b.token)
	for _, proof := range proofs {
		r.Header.Add("DPoP", proof)
	}
	claims, err := b.v.VerifyRequest(r)
	if (claims == nil) != (err != nil) {
		panic("claims beside an error, or neither")
	}
	return err
}

func (b *bound) proof(changes ...persauthtest.ProofChange) string {
	return b.client.Proof(http.MethodGet, shopOrders, b.token, changes...)
}

// with is a change of several members of an object, such as the "jwk".
func with(object []byte, changes map[string]any) map[string]any {
	members := map[string]any{}
	if err := json.Unmarshal(object, &members); err != nil {
		panic(err)
	}
	for name, value := range changes {
		members[name] = value
	}
	return members
}

func TestProofs(t *testing.T) {
	b := newBound(t, "ES256")
	header, claim := persauthtest.ProofHeader, persauthtest.ProofClaim
	now := b.iss.Clock().Now().Unix()
	jwk := b.client.JWK()
	rsa := b.iss.DPoPClient("RS256")
	for _, c := range []struct {
		name   string
		change persauthtest.ProofChange
		ok     bool
	}{
		{"as it should be", header("typ", "dpop+jwt"), true},
		{"more members and claims", func(h, c map[string]any) { h["kid"], c["sub"], c["cnf"] = "mine", "me", []int{1} }, true},

		{"typ: as a full media type, in capitals", header("typ", "application/DPoP+JWT"), true},
		{"typ: missing", header("typ", nil), false},
		{"typ: of a token", header("typ", "JWT"), false},
		{"typ: no string", header("typ", 1), false},

		{"alg: missing", header("alg", nil), false},
		{"alg: none", header("alg", "none"), false},
		{"alg: symmetric", header("alg", "HS256"), false},
		{"alg: not the key's", header("alg", "ES384"), false},
		{"alg: in small letters", header("alg", "es256"), false},
		{"alg: unknown", header("alg", "ES256K"), false},
		{"crit", header("crit", []string{"exp"}), false},
		{"crit: empty", header("crit", []string{}), false},
		{"b64", header("b64", false), false},

		{"jwk: with a use", header("jwk", with(jwk, map[string]any{"use": "sig", "alg": "ES256", "key_ops": []string{"verify"}})), true},
		{"jwk: missing", header("jwk", nil), false},
		{"jwk: null", func(h, _ map[string]any) { h["jwk"] = json.RawMessage("null") }, false},
		{"jwk: a string", header("jwk", string(jwk)), false},
		{"jwk: a list", header("jwk", []any{with(jwk, nil)}), false},
		{"jwk: a set", header("jwk", map[string]any{"keys": []any{with(jwk, nil)}}), false},
		{"jwk: empty", header("jwk", map[string]any{}), false},
		{"jwk: with its private part", header("jwk", with(jwk, map[string]any{"d": "AQAB"})), false},
		{"jwk: with a private part of null", header("jwk", with(jwk, map[string]any{"d": nil})), false},
		{"jwk: with a part of an RSA key", header("jwk", with(jwk, map[string]any{"dp": "AQAB"})), false},
		{"jwk: symmetric", header("jwk", map[string]any{"kty": "oct", "k": "AQAB"}), false},
		{"jwk: with a secret", header("jwk", with(jwk, map[string]any{"k": "AQAB"})), false},
		{"jwk: for encryption", header("jwk", with(jwk, map[string]any{"use": "enc"})), false},
		{"jwk: for another algorithm", header("jwk", with(jwk, map[string]any{"alg": "ES384"})), false},
		{"jwk: not for verifying", header("jwk", with(jwk, map[string]any{"key_ops": []string{"sign"}})), false},
		{"jwk: of another type", header("jwk", with(rsa.JWK(), nil)), false},
		{"jwk: of another client", header("jwk", with(b.iss.DPoPClient("ES256").JWK(), nil)), false},
		{"jwk: not on the curve", header("jwk", with(jwk, map[string]any{"x": strings.Repeat("A", 43)})), false},
		{"jwk: another curve", header("jwk", with(jwk, map[string]any{"crv": "P-384"})), false},
		{"jwk: with padding", header("jwk", with(jwk, map[string]any{"x": with(jwk, nil)["x"].(string) + "="})), false},
		{"jku in its place", func(h, _ map[string]any) { delete(h, "jwk"); h["jku"] = "https://evil.example/jwks.json" }, false},

		{"htm: missing", claim("htm", nil), false},
		{"htm: another", claim("htm", "POST"), false},
		{"htm: in small letters", claim("htm", "get"), false},
		{"htm: no string", claim("htm", 1), false},
		{"htu: missing", claim("htu", nil), false},
		{"htu: another", claim("htu", "https://shop.example/order"), false},
		{"htu: a list", claim("htu", []string{shopOrders}), false},
		{"htu: written in another way", claim("htu", "HTTPS://SHOP.example:443/%6Frders?x#y"), true},

		{"jti: one byte", claim("jti", "1"), true},
		{"jti: as long as may be", claim("jti", strings.Repeat("x", 256)), true},
		{"jti: longer", claim("jti", strings.Repeat("x", 257)), false},
		{"jti: empty", claim("jti", ""), false},
		{"jti: missing", claim("jti", nil), false},
		{"jti: a number", claim("jti", 17), false},

		{"iat: as old as may be", claim("iat", now-59), true},
		{"iat: older", claim("iat", now-60), false},
		{"iat: as far ahead as may be", claim("iat", now+30), true},
		{"iat: further ahead", claim("iat", now+31), false},
		{"iat: a fraction too far ahead", claim("iat", float64(now)+30.5), false},
		{"iat: a fraction", claim("iat", float64(now)-0.5), true},
		{"iat: missing", claim("iat", nil), false},
		{"iat: a string", claim("iat", "1900000000"), false},
		{"iat: in milliseconds", claim("iat", now*1000), false},
		{"iat: below zero", claim("iat", -1), false},

		{"ath: missing", claim("ath", nil), false},
		{"ath: of another token", claim("ath", "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"), false},
		{"ath: cut short", func(_, c map[string]any) { c["ath"] = c["ath"].(string)[:42] }, false},
		{"ath: with padding", func(_, c map[string]any) { c["ath"] = c["ath"].(string) + "=" }, false},

		{"nonce: one that nobody asked for", claim("nonce", "mine"), true},
		{"nonce: no string", claim("nonce", 1), false},
		{"too long", claim("more", strings.Repeat("x", 8<<10)), false},
		{"nearly too long", claim("more", strings.Repeat("x", 5<<10)), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			proof := b.proof(c.change)
			err := b.send(proof)
			if c.ok {
				require.NoError(t, err)
				require.ErrorIs(t, b.send(proof), persauth.ErrReplay)
				return
			}
			require.ErrorIs(t, err, persauth.ErrProof)
			require.NotErrorIs(t, err, persauth.ErrUnavailable)
		})
	}
}

// Proofs that no JSON library would write, and headers that no client would send.
func TestOddProofs(t *testing.T) {
	b := newBound(t, "ES256")
	good := b.proof()
	parts := strings.Split(good, ".")
	part := func(i int) string {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		require.NoError(t, err)
		return string(raw)
	}
	header, claims := part(0), part(1)
	sign := func(header, claims string) string { return b.client.Key().Sign([]byte(header), []byte(claims)) }
	addClaim := func(more string) string { return strings.TrimSuffix(claims, "}") + "," + more + "}" }

	require.NoError(t, b.send(sign(header, strings.Replace(addClaim(`"x":1`), `"jti":"`, `"jti":"a`, 1))), "the twin of all that follows")
	for name, proofs := range map[string][]string{
		"no header":                   nil,
		"an empty header":             {""},
		"two headers":                 {b.proof(), b.proof()},
		"a header twice":              {good, good},
		"two in one header":           {good + ", " + good},
		"with a scheme":               {"DPoP " + good},
		"two parts":                   {parts[0] + "." + parts[1]},
		"four parts":                  {good + ".x"},
		"five parts":                  {good + ".x.y"},
		"dots alone":                  {".."},
		"no signature":                {parts[0] + "." + parts[1] + "."},
		"a signature cut short":       {good[:len(good)-4]},
		"padding":                     {good + "="},
		"a line break":                {parts[0] + "." + parts[1] + ".\n" + parts[2]},
		"white space":                 {" " + good},
		"other claims, old signature": {parts[0] + "." + strings.Split(b.proof(), ".")[1] + "." + parts[2]},
		"the token itself":            {b.token},
		"a header of no JSON":         {sign("x", claims)},
		"a header that is a list":     {sign("["+header+"]", claims)},
		"claims of no JSON":           {sign(header, "x")},
		"claims that are a list":      {sign(header, "["+claims+"]")},
		"no claims":                   {sign(header, "")},
		"more after the claims":       {sign(header, claims+"{}")},
		"a claim twice":               {sign(header, addClaim(`"htm":"GET"`))},
		"a claim twice, once escaped": {sign(header, addClaim(`"\u0068tm":"GET"`))},
		"a member twice":              {sign(strings.TrimSuffix(header, "}")+`,"typ":"dpop+jwt"}`, claims)},
		"a member of the key twice":   {sign(strings.Replace(header, `"kty":`, `"kty":"EC","kty":`, 1), claims)},
		"names in capitals":           {sign(header, strings.Replace(claims, `"htm"`, `"HTM"`, 1))},
		"broken UTF-8":                {sign(header, addClaim("\"x\":\"\xff\""))},
		"deep nesting":                {sign(header, addClaim(`"x":`+strings.Repeat("[", 40)+strings.Repeat("]", 40)))},
		"a signature in DER":          {parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString([]byte("0D\x02 "+strings.Repeat("x", 60)))},
	} {
		t.Run(name, func(t *testing.T) {
			require.ErrorIs(t, b.send(proofs...), persauth.ErrProof)
		})
	}
	assert.NoError(t, b.send(good), "none of these used up anything")
}

// A name that is written with an escape is the same name.
func TestEscapedNamesInProof(t *testing.T) {
	b := newBound(t, "EdDSA")
	parts := strings.Split(b.proof(), ".")
	header, _ := base64.RawURLEncoding.DecodeString(parts[0])
	claims, _ := base64.RawURLEncoding.DecodeString(parts[1])
	escaped := strings.NewReplacer(`"htm":"GET"`, `"\u0068tm":"\u0047ET"`).Replace(string(claims))
	require.NotEqual(t, string(claims), escaped)
	require.NoError(t, b.send(b.client.Key().Sign(header, []byte(escaped))))
}

func TestDPoPModes(t *testing.T) {
	for _, c := range []struct {
		name  string
		dpop  persauth.DPoP
		plain [2]bool // a token that is not bound: as Bearer, as DPoP
		bound [3]bool // one that is: as Bearer, as Bearer with a proof, as DPoP with a proof
	}{
		{"when bound", persauth.DPoP{Origin: "https://shop.example"}, [2]bool{true, false}, [3]bool{false, false, true}},
		{"required", persauth.DPoP{Origin: "https://shop.example", Mode: persauth.DPoPRequired}, [2]bool{}, [3]bool{false, false, true}},
		{"off", persauth.DPoP{Mode: persauth.DPoPOff}, [2]bool{true, false}, [3]bool{}},
		{"off, with an address", persauth.DPoP{Origin: "https://shop.example", Mode: persauth.DPoPOff}, [2]bool{true, false}, [3]bool{}},
		{"the zero value", persauth.DPoP{}, [2]bool{true, false}, [3]bool{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBound(t, "ES256", func(cfg *persauth.Config) { cfg.DPoP = c.dpop })
			plain := b.iss.UserToken("acme")
			check := func(what string, want bool, headers ...string) {
				t.Helper()
				_, err := b.v.VerifyRequest(newRequest(http.MethodGet, shopOrders, headers...))
				if want {
					assert.NoError(t, err, what)
				} else {
					assert.ErrorIs(t, err, persauth.ErrProof, what)
				}
			}
			check("plain as Bearer", c.plain[0], "Authorization", "Bearer "+plain)
			check("plain as DPoP", c.plain[1], "Authorization", "DPoP "+plain, "DPoP", b.client.Proof("GET", shopOrders, plain))
			check("bound as Bearer", c.bound[0], "Authorization", "Bearer "+b.token)
			check("bound as Bearer, with a proof", c.bound[1], "Authorization", "Bearer "+b.token, "DPoP", b.proof())
			check("bound as DPoP", c.bound[2], "Authorization", "dpop "+b.token, "DPoP", b.proof())

			// Whatever the mode, the token has to be good first.
			_, err := b.v.VerifyRequest(newRequest(http.MethodGet, shopOrders, "Authorization", "DPoP "+b.iss.ForgedToken(), "DPoP", b.proof()))
			assert.ErrorIs(t, err, persauth.ErrSignature)
		})
	}
}

// A bound token in another place than the Authorization header has no scheme
// that says it is one.
func TestBoundTokenInCookie(t *testing.T) {
	b := newBound(t, "ES256", func(cfg *persauth.Config) { cfg.TokenSources = []persauth.TokenSource{persauth.TokenCookie("session")} })
	_, err := b.v.VerifyRequest(newRequest(http.MethodGet, shopOrders, "Cookie", "session="+b.token, "DPoP", b.proof()))
	require.ErrorIs(t, err, persauth.ErrProof)
	_, err = b.v.VerifyRequest(newRequest(http.MethodGet, shopOrders, "Cookie", "session="+b.iss.UserToken("acme")))
	require.NoError(t, err)
}

// Proofs are signed by clients: what they may use does not depend on what PERS uses.
func TestProofAlgorithms(t *testing.T) {
	rs256 := func(cfg *persauth.Config) { cfg.Algorithms = []string{"ES256", "RS256"} }
	for _, c := range []struct {
		name, key, alg string
		allowed        []string
		ok             bool
	}{
		{"one that PERS does not use", "EdDSA", "EdDSA", nil, true},
		{"by its newer name", "EdDSA", "Ed25519", nil, true},
		{"one of a list", "ES256", "ES256", []string{"ES256"}, true},
		{"not one of the list", "EdDSA", "EdDSA", []string{"ES256"}, false},
		{"the other name is not in the list", "EdDSA", "Ed25519", []string{"EdDSA"}, false},
		{"the newer name alone", "EdDSA", "Ed25519", []string{"Ed25519"}, true},
		{"the newer name with another key", "ES256", "Ed25519", nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBound(t, c.key, rs256, func(cfg *persauth.Config) { cfg.DPoP.Algorithms = c.allowed })
			err := b.send(b.proof(persauthtest.ProofHeader("alg", c.alg)))
			if c.ok {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, persauth.ErrProof)
			}
		})
	}
}

func TestDPoPConfig(t *testing.T) {
	const origin = "https://shop.example"
	secret := make([]byte, 32)
	for _, c := range []struct {
		name string
		dpop persauth.DPoP
		ok   bool
	}{
		{"the zero value", persauth.DPoP{}, true},
		{"an origin", persauth.DPoP{Origin: origin}, true},
		{"an origin with a path", persauth.DPoP{Origin: origin + "/api/"}, true},
		{"an origin on this machine", persauth.DPoP{Origin: "http://[::1]:8080"}, true},
		{"all of it", persauth.DPoP{Origin: origin, Mode: persauth.DPoPRequired, Algorithms: []string{"ES256", "Ed25519"},
			MaxAge: 10 * time.Minute, NonceSecret: secret, MaxReplays: 1}, true},
		{"trusted headers", persauth.DPoP{TrustForwarded: true, Mode: persauth.DPoPRequired}, true},
		{"off", persauth.DPoP{Mode: persauth.DPoPOff}, true},
		{"required, without an address", persauth.DPoP{Mode: persauth.DPoPRequired}, false},
		{"nonces, without an address", persauth.DPoP{NonceSecret: secret}, false},
		{"an age, without an address", persauth.DPoP{MaxAge: time.Minute}, false},
		{"two addresses", persauth.DPoP{Origin: origin, TrustForwarded: true}, false},
		{"an origin without a scheme", persauth.DPoP{Origin: "shop.example"}, false},
		{"an origin with a query", persauth.DPoP{Origin: origin + "?x"}, false},
		{"an origin with a fragment", persauth.DPoP{Origin: origin + "#x"}, false},
		{"an origin with a user", persauth.DPoP{Origin: "https://me@shop.example"}, false},
		{"no mode", persauth.DPoP{Mode: 3}, false},
		{"no mode either", persauth.DPoP{Mode: -1}, false},
		{"a symmetric algorithm", persauth.DPoP{Origin: origin, Algorithms: []string{"HS256"}}, false},
		{"none", persauth.DPoP{Origin: origin, Algorithms: []string{"none"}}, false},
		{"an age of a second", persauth.DPoP{Origin: origin, MaxAge: time.Second}, true},
		{"a shorter age", persauth.DPoP{Origin: origin, MaxAge: time.Second - 1}, false},
		{"a longer age", persauth.DPoP{Origin: origin, MaxAge: 10*time.Minute + 1}, false},
		{"a negative age", persauth.DPoP{Origin: origin, MaxAge: -time.Second}, false},
		{"a short secret", persauth.DPoP{Origin: origin, NonceSecret: secret[:31]}, false},
		{"a negative bound", persauth.DPoP{Origin: origin, MaxReplays: -1}, false},
		{"a bound for a store that has its own", persauth.DPoP{Origin: origin, MaxReplays: 1, Replays: new(sharedStore)}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, err := persauth.New(persauth.Config{Keys: persauth.StaticKeys(fixtureKeys), DPoP: c.dpop})
			if c.ok {
				require.NoError(t, err)
				v.Close()
				return
			}
			require.Error(t, err)
		})
	}
}
