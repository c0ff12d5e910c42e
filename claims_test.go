package persauth_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestClaimsContent(t *testing.T) {
	v := holding(t, setFor("EdDSA"))
	const payload = `{"sub":"al\u0069ce","tenantId":"acme","businessId":"b\"1","role":["ADMIN","\u00e9ditor"],` +
		`"authType":"business","email":"alice@example.com","iss":"pers","aud":["a","b"],"jti":"42","nbf":1700000000,` +
		`"iat":1700000000.5,"exp":1800000900,"cnf":{"jkt":"thumb","x":1},"level":{"gold":7},"SUB":"mallory"}`
	token := tokenWith(keyFor("EdDSA"), payload)
	for range 2 {
		c := answers(t, v, token, nil)
		assert.Equal(t, "alice", c.Subject())
		assert.Equal(t, "acme", c.TenantID())
		assert.Equal(t, `b"1`, c.BusinessID())
		assert.Equal(t, []string{"ADMIN", "éditor"}, c.Roles())
		assert.Equal(t, persauth.AuthBusiness, c.AuthType())
		assert.Equal(t, "alice@example.com", c.Email())
		assert.Equal(t, "pers", c.Issuer())
		assert.Equal(t, []string{"a", "b"}, c.Audience())
		assert.Equal(t, "42", c.ID())
		assert.Equal(t, "thumb", c.Confirmation())
		assert.Equal(t, time.Unix(1800000900, 0).UTC(), c.ExpiresAt())
		assert.Equal(t, time.Unix(1700000000, 0).UTC(), c.NotBefore())
		assert.Equal(t, time.Unix(1700000000, 5e8).UTC(), c.IssuedAt())
		assert.Equal(t, persauth.Verification{Method: persauth.VerifiedLocally, KeyID: "kid-EdDSA", Algorithm: "EdDSA"}, c.Verification())

		var rest struct {
			Level struct{ Gold int } `json:"level"`
			Upper string             `json:"SUB"`
			Lower string             `json:"sub"`
		}
		require.Error(t, c.Decode(&struct {
			Level int `json:"level"`
		}{}))
		require.NoError(t, c.Decode(&rest))
		assert.Equal(t, "mallory", rest.Upper)
		assert.Equal(t, "alice", rest.Lower)
		raw, err := json.Marshal(c)
		require.NoError(t, err)
		assert.JSONEq(t, payload, string(raw))

		// Whoever changes what they got changes their own copy.
		c.Roles()[0], c.Audience()[0] = "OWNER", "z"
		raw2, err := c.MarshalJSON()
		require.NoError(t, err)
		raw2[0] = '!'
		var shared json.RawMessage
		require.NoError(t, c.Decode(&shared))
		shared[0] = '!'
		assert.Equal(t, []string{"ADMIN", "éditor"}, c.Roles())
		assert.Equal(t, []string{"a", "b"}, c.Audience())
		raw, err = json.Marshal(c)
		require.NoError(t, err)
		assert.JSONEq(t, payload, string(raw))
	}
}

func TestClaimsAbsent(t *testing.T) {
	c := answers(t, holding(t, setFor("EdDSA")), tokenWith(keyFor("EdDSA"), `{"tenantId":"acme","exp":1800000900}`), nil)
	assert.Empty(t, c.Subject()+c.BusinessID()+string(c.AuthType())+c.Email()+c.Issuer()+c.ID()+c.Confirmation())
	assert.Empty(t, c.Roles())
	assert.Empty(t, c.Audience())
	assert.True(t, c.NotBefore().IsZero())
	assert.True(t, c.IssuedAt().IsZero())
}

func TestClaimsRoles(t *testing.T) {
	v := holding(t, setFor("EdDSA"))
	for role, want := range map[string][]string{
		`"ADMIN"`:           {"ADMIN"},
		`["ADMIN"]`:         {"ADMIN"},
		`["A","B","A"]`:     {"A", "B", "A"},
		`[]`:                nil,
		`null`:              nil,
		`""`:                {""},
		`"A,B"`:             {"A,B"},
		`["\u0041","\\\""]`: {"A", `\"`},
	} {
		t.Run(role, func(t *testing.T) {
			c := answers(t, v, tokenWith(keyFor("EdDSA"), `{"role":`+role+`,`+goodClaims[1:]), nil)
			assert.Equal(t, want, c.Roles())
		})
	}
}

func TestClaimsInLogs(t *testing.T) {
	v := holding(t, setFor("EdDSA"))
	token := tokenWith(keyFor("EdDSA"), `{"email":"alice@example.com","secret":"hunter2",`+goodClaims[1:])
	c := answers(t, v, token, nil)
	_, payload, signature := segmentsOf(t, token)
	var log bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(handler).Info("request", "claims", c, "value", *c)
	}
	report := v.Explain(t.Context(), token)
	shown := map[string]string{"slog": log.String(), "report": fmt.Sprintf("%+v", report), "in a struct": fmt.Sprintf("%+v", struct{ C *persauth.Claims }{c})}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%f", "%c", "%U"} {
		shown[verb] = fmt.Sprintf(verb, c)
		shown[verb+" of a copy"] = fmt.Sprintf(verb, *c)
	}
	for name, text := range shown {
		t.Run(name, func(t *testing.T) {
			for _, secret := range []string{"alice@", "hunter2", payload, signature, fmt.Sprintf("%x", "alice@"), fmt.Sprintf("%d", []byte("alice@"))[1:20]} {
				assert.NotContains(t, text, secret)
			}
			assert.Contains(t, text, "acme")
		})
	}
	var none *persauth.Claims
	assert.NotPanics(t, func() {
		_ = fmt.Sprintf("%v %+v %#v %s", none, none, none, none)
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "c", none)
	})
}

// A nil *Claims, from an error that was dropped or a request without a token, is
// nobody: for every method, those to come included.
func TestNilClaims(t *testing.T) {
	var nobody *persauth.Claims
	all := reflect.TypeOf(nobody)
	for i := range all.NumMethod() {
		method := all.Method(i)
		if method.Name == "Format" {
			continue // fmt does not call it for nil: see below
		}
		t.Run(method.Name, func(t *testing.T) {
			args := []reflect.Value{reflect.ValueOf(nobody)}
			for i := 1; i < method.Type.NumIn(); i++ {
				in := method.Type.In(i)
				if in.Kind() == reflect.Slice {
					in = in.Elem() // one of any number
				}
				if in.Kind() == reflect.String {
					args = append(args, reflect.ValueOf("acme").Convert(in))
				} else {
					args = append(args, reflect.ValueOf(new(map[string]any)))
				}
			}
			var results []reflect.Value
			require.NotPanics(t, func() { results = method.Func.Call(args) })
			last := results[len(results)-1]
			switch err, isError := last.Interface().(error); {
			case method.Name == "MarshalJSON":
				assert.Equal(t, "null", string(results[0].Bytes()))
			case method.Name == "LogValue":
				assert.Equal(t, "<nil>", last.Interface().(slog.Value).String())
			case last.Type() == reflect.TypeFor[error]():
				require.True(t, isError)
				require.ErrorIs(t, err, persauth.ErrForbidden)
			default:
				assert.True(t, last.IsZero(), "%v", last)
			}
		})
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d"} {
		assert.Equal(t, "<nil>", fmt.Sprintf(verb, nobody), verb)
	}
	raw, err := json.Marshal(map[string]any{"claims": nobody})
	require.NoError(t, err)
	assert.JSONEq(t, `{"claims":null}`, string(raw))
}
