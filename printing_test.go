package persauth_test

// fmt, log/slog and JSON show no secret of what a service may print by accident.

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// shown takes down a value in every way in which a service prints one.
func (e *evidence) shown(value any) {
	e.printed(value)
	e.printed([]any{value})
	e.printed(map[string]any{"value": value})
	e.log().Info("shown", "value", value)
	raw, _ := json.Marshal(value) // some cannot be marshalled, and then say no more than that
	_, _ = e.Write(raw)
	_, err := json.Marshal(map[string]any{"value": value})
	e.failed(err)
}

// Who prints a context prints its parents, too.
func TestContextsShowNoToken(t *testing.T) {
	type key struct{}
	b := newBound(t, "ES256")
	other := b.iss.Verifier(func(cfg *persauth.Config) { cfg.DPoP.Origin = "https://shop.example" })
	for _, c := range []struct {
		name    string
		bound   bool
		handler func(http.Handler) http.Handler
	}{
		{"bearer", false, b.v.Middleware},
		{"bearer, two verifiers", false, func(next http.Handler) http.Handler { return other.Middleware(b.v.Middleware(next)) }},
		{"bound", true, b.v.Middleware},
		{"bound, two verifiers", true, func(next http.Handler) http.Handler { return other.Middleware(b.v.Middleware(next)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRequest(http.MethodGet, shopOrders, "Authorization", "Bearer "+b.iss.BusinessToken("acme", "shop", "ADMIN"))
			if c.bound {
				b.client.Authorize(r, b.token)
			}
			e := collect(t)
			e.hideToken(strings.Fields(r.Header.Get("Authorization"))[1])
			if c.bound {
				e.hideToken(r.Header.Get("DPoP"))
			}
			reached := false
			serveRequest(c.handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				reached = true
				ctx := r.Context()
				assert.Contains(t, fmt.Sprint(ctx), `tenant:"acme"`, "it says who is calling")
				cancelled, cancel := context.WithTimeout(ctx, time.Minute)
				defer cancel()
				for _, ctx := range []context.Context{ctx, cancelled, context.WithValue(cancelled, key{}, 1), context.WithoutCancel(ctx)} {
					e.shown(ctx)
					e.shown(struct{ Context context.Context }{ctx})
					e.shown(struct{ context context.Context }{ctx})
				}
				e.check(t)
			})), r)
			assert.True(t, reached)
		})
	}
}

func TestSettingsShowNoSecret(t *testing.T) {
	const key = projectKey
	const nonce = "a secret of the service, of 32 bytes at the least"
	dir := t.TempDir()
	path := filepath.Join(dir, "jwks.json")
	require.NoError(t, os.WriteFile(path, []byte(key), 0o600))
	e := collect(t)
	e.hide("project key", key)
	e.hide("nonce secret", nonce)
	sources := map[string]persauth.KeySource{
		"static": persauth.StaticKeys([]byte(key)), // as when two variables are mixed up
		"fs":     persauth.FSKeys(fstest.MapFS{"jwks.json": {Data: []byte(key)}}, "jwks.json"),
		"file":   persauth.FileKeys(path),
	}
	for name, source := range sources {
		for where, base := range map[string]string{"nowhere": "", "user": "https://" + key + ":" + key + "@pers.test", "query": "https://pers.test/?key=" + key,
			"path": "https://pers.test/" + key, "no URL": "https://pers.test/%zz" + key} {
			t.Run(name+", and the key in "+where, func(t *testing.T) {
				cfg := persauth.Config{ProjectKey: key, BaseURL: base, Keys: source, DPoP: persauth.DPoP{
					Origin: "https://shop.example", NonceSecret: []byte(nonce), Replays: &sharedStore{},
				}, TokenSources: []persauth.TokenSource{persauth.TokenCookie("session")}, HTTPClient: &http.Client{Transport: secretTransport{key}}}
				for _, value := range []any{cfg, &cfg, cfg.DPoP, &cfg.DPoP, source} {
					e.shown(value)
					e.check(t)
				}
				e.shown(struct{ source persauth.KeySource }{source})
				e.check(t)
			})
		}
	}
	v, err := persauth.New(persauth.Config{ProjectKey: key, Keys: persauth.StaticKeys(persauthtest.NewIssuer(t).JWKS()),
		DPoP: persauth.DPoP{Origin: "https://shop.example", NonceSecret: []byte(nonce)}})
	require.NoError(t, err)
	defer v.Close()
	e.shown(v)
	e.shown(struct{ v *persauth.Verifier }{v})
	e.printed(reflect.ValueOf(v).Elem()) // fmt shows what is inside
	e.check(t)
	assert.Equal(t, "persauth.Verifier", fmt.Sprint(v))
}

// What a service hands over holds tokens, and may be logged on the way.
func TestArgumentsShowNoToken(t *testing.T) {
	b := newBound(t, "ES256")
	proof := b.proof()
	e := collect(t)
	e.hideToken(b.token)
	e.hideToken(proof)
	credentials := persauth.Credentials{Authorization: []string{"DPoP " + b.token}, Proofs: []string{proof}, Method: "GET", URL: "https://user:pass@shop.example/orders?token=" + b.token}
	revocation := persauth.Revocation{Token: b.token, Subject: "anna", Until: time.Unix(1_800_000_000, 0).UTC()}
	for _, value := range []any{credentials, &credentials, revocation, &revocation} {
		e.printed(value)
		e.printed([]any{value})
		e.log().Info("shown", "value", value)
	}
	e.check(t)
	assert.Equal(t, `persauth.Credentials{URL:"/orders?redacted"}`, fmt.Sprint(persauth.Credentials{URL: "/orders?token=" + b.token}))
	assert.Equal(t, `persauth.Credentials{Authorization:[redacted] Proofs:[redacted] Method:"GET" URL:"https://redacted@shop.example/orders?redacted"}`, fmt.Sprint(credentials))
	assert.Equal(t, `persauth.Revocation{Token:[redacted] Subject:"anna" Until:2027-01-15T08:00:00Z}`, fmt.Sprintf("%+v", revocation))
}

type secretTransport struct{ key string }

func (secretTransport) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, http.ErrNotSupported
}

// A Config shows what is set, and a field that comes later is shown only when it
// was decided that it may be.
func TestConfigShowsWhatIsSet(t *testing.T) {
	assert.Equal(t, `persauth.Config{}`, fmt.Sprint(persauth.Config{}))
	cfg := persauth.Config{ProjectKey: projectKey, Tenants: []string{"acme"}, Leeway: time.Minute, Offline: true,
		Keys: persauth.StaticKeys([]byte(`{}`)), DPoP: persauth.DPoP{MaxAge: time.Second, NonceSecret: []byte("x")}}
	const want = `persauth.Config{ProjectKey:[redacted] Keys:StaticKeys(2 bytes) Offline:true Tenants:["acme"] Leeway:1m0s DPoP:persauth.DPoP{MaxAge:1s NonceSecret:[redacted]}}`
	assert.Equal(t, want, fmt.Sprint(cfg))
	assert.Equal(t, want, fmt.Sprintf("%#v", &cfg))
	raw, err := json.Marshal(cfg)
	require.NoError(t, err)
	var text string
	require.NoError(t, json.Unmarshal(raw, &text))
	assert.Equal(t, want, text)

	var shown []string
	var fill func(prefix string, v reflect.Value)
	fill = func(prefix string, v reflect.Value) {
		for i := range v.NumField() {
			field, name := v.Field(i), prefix+v.Type().Field(i).Name
			const value = "unmistakable"
			switch {
			case field.Kind() == reflect.Struct && field.Type().NumField() > 0 && v.Type().Field(i).IsExported() && field.Type().Field(0).IsExported():
				fill(name+".", field)
				continue
			case field.Kind() == reflect.String:
				field.SetString(value)
			case field.Type() == reflect.TypeFor[[]string]():
				field.Set(reflect.ValueOf([]string{value}))
			case field.Type() == reflect.TypeFor[[]byte]():
				field.SetBytes([]byte(value))
			default:
				continue
			}
			if strings.Contains(fmt.Sprintf("%+v", v.Interface()), value) {
				shown = append(shown, name)
			}
			field.SetZero()
		}
	}
	var all persauth.Config
	fill("", reflect.ValueOf(&all).Elem())
	assert.Equal(t, []string{"BaseURL", "Snapshot", "Issuer", "Audience", "Tenants", "TenantEvidence.TokenKinds", "TokenKinds", "Algorithms", "TokenTypes",
		"ClaimNames.Tenant", "ClaimNames.Business", "ClaimNames.Role", "ClaimNames.AuthType", "ClaimNames.Email", "ClaimNames.Session", "ClaimNames.Kind",
		"RemoteAlgorithms", "DPoP.Origin", "DPoP.Algorithms",
		"Resource.Identifier", "Resource.AuthorizationServers", "Resource.Scopes", "Resource.Name", "Resource.Documentation"}, shown)
}
