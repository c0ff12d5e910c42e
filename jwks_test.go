package persauth_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What is a JWK Set and what is not, when all the keys in it are good.
func TestKeySetForm(t *testing.T) {
	key := string(keyFor("EdDSA").JWK())
	token := tokenWith(keyFor("EdDSA"), goodClaims)
	big := func(size int) string {
		rest := size - len(setOf(key)) - len(`"x":"",`)
		return `{"x":"` + strings.Repeat("x", rest) + `",` + setOf(key)[1:]
	}
	require.Len(t, big(1<<20), 1<<20)

	for name, c := range map[string]struct {
		set  string
		good bool
	}{
		"a set":                    {setOf(key), true},
		"white space":              {" \r\n" + setOf(" "+key+"\n") + "\t", true},
		"other members":            {`{"x":{"keys":[]},"keys":[` + key + `],"":null}`, true},
		"other members twice":      {`{"x":1,"x":2,"keys":[` + key + `]}`, true},
		"a kty beside":             {`{"kty":"EC","keys":[` + key + `]}`, true},
		"keys, by an escape":       {`{"k\u0065ys":[` + key + `]}`, true},
		"exactly 1 MiB":            {big(1 << 20), true},
		"one byte more":            {big(1<<20 + 1), false},
		"nothing":                  {"", false},
		"white space alone":        {" ", false},
		"null":                     {"null", false},
		"an array":                 {"[" + key + "]", false},
		"an empty object":          {"{}", false},
		"no keys":                  {`{"keys":[]}`, false},
		"keys null":                {`{"keys":null}`, false},
		"keys, an object":          {`{"keys":{"a":` + key + `}}`, false},
		"keys, a string":           {`{"keys":"` + "x" + `"}`, false},
		"keys in other case":       {`{"Keys":[` + key + `]}`, false},
		"keys twice":               {`{"keys":[],"keys":[` + key + `]}`, false},
		"keys twice, the same":     {`{"keys":[` + key + `],"keys":[` + key + `]}`, false},
		"keys twice, by an escape": {`{"keys":[` + key + `],"k\u0065ys":[]}`, false},
		"a bare key":               {key, false},
		"a set in a set":           {setOf(setOf(key)), false},
		"something after it":       {setOf(key) + "x", false},
		"another set after it":     {setOf(key) + setOf(key), false},
		"cut off":                  {setOf(key)[:100], false},
		"a byte order mark":        {"\ufeff" + setOf(key), false},
		"not UTF-8":                {`{"x":"` + "\xff" + `","keys":[` + key + `]}`, false},
		"an error page":            {"<html><body>502 Bad Gateway</body></html>", false},
		"a token":                  {token, false},
	} {
		t.Run(name, func(t *testing.T) {
			infos, err := persauth.InspectKeys([]byte(c.set))
			assert.Equal(t, c.good, err == nil && len(infos) == 1 && infos[0].Problem == "")
			v, err := persauth.New(persauth.Config{Keys: persauth.StaticKeys([]byte(c.set))})
			if !c.good {
				require.Error(t, err)
				assert.Nil(t, v)
				return
			}
			require.NoError(t, err)
			answers(t, holding(t, c.set), token, nil)
		})
	}
}

// A set without keys is a set; what has no list of keys is none.
func TestInspectKeysOfNoSet(t *testing.T) {
	infos, err := persauth.InspectKeys([]byte(`{"keys":[]}`))
	require.NoError(t, err)
	assert.Empty(t, infos)
	for _, set := range []string{``, `null`, `[]`, `{}`, `{"keys":null}`, `{"keys":{}}`, `{"keys":5}`, `["keys",[]]`, `{"keys":[],"keys":[]}`, string(keyFor("EdDSA").JWK())} {
		infos, err := persauth.InspectKeys([]byte(set))
		require.Error(t, err, set)
		assert.Nil(t, infos, set)
	}
}

// Keys of an unknown kind, broken keys and good ones in one set.
func TestKeySetMixed(t *testing.T) {
	set := setOf(
		`{"kty":"AKP","kid":"pq","alg":"ML-DSA-44","pub":"AAAA"}`,
		string(keyFor("ES256").JWK()),
		`{"kty":"oct","kid":"shared","k":"AAAA"}`,
		`5`,
		jwkOf(t, keyFor("RS256"), map[string]any{"d": "AAAA"}),
		jwkOf(t, keyFor("EdDSA"), map[string]any{"use": "enc"}),
		strings.Replace(string(keyFor("ES384").JWK()), `{`, `{"kid":"a","kid":"b",`, 1),
		string(keyFor("ES512").JWK()),
	)
	infos, err := persauth.InspectKeys([]byte(set))
	require.NoError(t, err)
	var usable []int
	for i, info := range infos {
		assert.Equal(t, i, info.Position)
		if info.Problem == "" {
			usable = append(usable, i)
		}
	}
	assert.Equal(t, []int{1, 7}, usable)

	v := holding(t, set)
	answers(t, v, tokenWith(keyFor("ES256"), goodClaims), nil)
	answers(t, v, tokenWith(keyFor("ES512"), goodClaims), nil)
	for _, alg := range []string{"RS256", "EdDSA", "ES384"} {
		answers(t, v, tokenWith(keyFor(alg), goodClaims), persauth.ErrUnknownKey)
	}
	status := v.Status()
	assert.Len(t, status.Keys.Keys, 2)
	assert.Len(t, status.Keys.Skipped, 6)
}

// One kid for several keys, and tokens without one.
func TestKeyLookup(t *testing.T) {
	newKey := func(id, alg string) *persauthtest.Key {
		key, err := persauthtest.NewKey(id, alg, "lookup")
		require.NoError(t, err)
		return key
	}
	first, second, third := newKey("1", "ES256"), newKey("2", "ES256"), newKey("3", "ES256")
	ed, es384 := keyFor("EdDSA"), keyFor("ES384")
	named := func(key *persauthtest.Key, kid any) string { return jwkOf(t, key, map[string]any{"kid": kid}) }
	rsaFree := jwkOf(t, keyFor("RS256"), map[string]any{"kid": "a", "alg": nil})
	rsaPS := jwkOf(t, keyFor("RS512"), map[string]any{"kid": "a", "alg": "PS256"})
	pss := signingAs(keyFor("RS256"), "PS256")
	token := func(key *persauthtest.Key, kid string) string {
		return key.Sign([]byte(`{"alg":"`+key.Algorithm+`"`+kid+`}`), []byte(goodClaims))
	}
	const none, a = ``, `,"kid":"a"`

	for name, c := range map[string]struct {
		set   string
		token string
		want  error
	}{
		"same kid, other types: EC":      {setOf(named(first, "a"), named(ed, "a")), token(first, a), nil},
		"same kid, other types: OKP":     {setOf(named(first, "a"), named(ed, "a")), token(ed, a), nil},
		"same kid, other types: neither": {setOf(named(first, "a"), named(ed, "a")), token(es384, a), persauth.ErrAlgorithm},
		"same kid, same type: first":     {setOf(named(first, "a"), named(second, "a")), token(first, a), nil},
		"same kid, same type: second":    {setOf(named(first, "a"), named(second, "a")), token(second, a), nil},
		"same kid, same type: neither":   {setOf(named(first, "a"), named(second, "a")), token(third, a), persauth.ErrSignature},
		"same kid, one with alg: free":   {setOf(rsaFree, rsaPS), token(pss, a), nil},
		"same kid, one with alg: bound":  {setOf(rsaFree, rsaPS), token(signingAs(keyFor("RS512"), "PS256"), a), nil},
		"same kid, one with alg: other":  {setOf(rsaFree, rsaPS), token(signingAs(keyFor("RS512"), "RS256"), a), persauth.ErrSignature},
		"same kid, one of them broken":   {setOf(named(first, "a"), `{"kid":"a","kty":"EC"}`), token(first, a), nil},
		"the same key twice":             {setOf(named(first, "a"), named(first, "a")), token(first, a), nil},
		"the same key under two kids":    {setOf(named(first, "b"), named(first, "a")), token(first, a), nil},
		"another kid":                    {setOf(named(first, "b")), token(first, a), persauth.ErrUnknownKey},
		"kid in the token only":          {setOf(named(first, nil)), token(first, a), persauth.ErrUnknownKey},
		"kid in the set only":            {setOf(named(first, "a")), token(first, none), nil},
		"no kid at all":                  {setOf(named(first, nil)), token(first, none), nil},
		"no kid, by another key":         {setOf(named(first, nil)), token(second, none), persauth.ErrSignature},
		"no kid, one of each type":       {setOf(named(first, "a"), named(ed, "b"), named(es384, "c")), token(ed, none), nil},
		"no kid, none fits":              {setOf(named(first, "a"), named(ed, "b")), token(es384, none), persauth.ErrUnknownKey},
		"no kid, two fit":                {setOf(named(first, "a"), named(second, "b")), token(first, none), persauth.ErrUnknownKey},
		"no kid, two fit, without names": {setOf(named(first, nil), named(second, nil)), token(second, none), persauth.ErrUnknownKey},
		"no kid, two of RSA, one fits":   {setOf(rsaFree, rsaPS), token(keyFor("RS256"), none), nil},
		"no kid, two of RSA, both fit":   {setOf(rsaFree, rsaPS), token(pss, none), persauth.ErrUnknownKey},
		"an empty kid for an empty kid":  {setOf(named(first, "")), token(first, `,"kid":""`), nil},
		"an empty kid for none":          {setOf(named(first, nil)), token(first, `,"kid":""`), persauth.ErrUnknownKey},
		"no kid for an empty kid":        {setOf(named(first, "")), token(first, none), nil},
		"kid through escapes":            {setOf(named(first, "a")), token(first, `,"kid":"\u0061"`), nil},
	} {
		t.Run(name, func(t *testing.T) { answers(t, holding(t, c.set), c.token, c.want) })
	}
}

// The index of a set is complete, however large the set.
func TestKeySetLarge(t *testing.T) {
	const many = 1000
	jwks := make([]string, many)
	var keys []*persauthtest.Key
	for i := range many {
		key, err := persauthtest.NewKey(fmt.Sprintf("key-%d", i), "EdDSA", "many")
		require.NoError(t, err)
		jwks[i] = string(key.JWK())
		keys = append(keys, key)
	}
	v := holding(t, setOf(jwks...))
	assert.Len(t, v.Status().Keys.Keys, many)
	for i, key := range keys {
		if i%100 == 0 || i == many-1 {
			answers(t, v, tokenWith(key, goodClaims), nil)
		}
	}
	answers(t, v, tokenWith(keyFor("EdDSA"), goodClaims), persauth.ErrUnknownKey)
	// The right key under the wrong one of a thousand names.
	answers(t, v, keys[1].Sign([]byte(headerFor(keys[2])), []byte(goodClaims)), persauth.ErrSignature)
}

// Every key is described, the thumbprint as RFC 7638 and RFC 8037 A.3 have it.
func TestInspectKeys(t *testing.T) {
	infos, err := persauth.InspectKeys([]byte(setOf(
		`{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}`,
		`{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`,
		jwkOf(t, keyFor("ES512"), map[string]any{"alg": nil}),
		`{"kty":"RSA","kid":"weak","n":"AQAB","e":"AQAB"}`,
	)))
	require.NoError(t, err)
	require.Len(t, infos, 4)
	assert.Equal(t, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", infos[0].Thumbprint)
	assert.Equal(t, "RSA 2048", infos[0].Type)
	assert.Equal(t, "2011-04-29", infos[0].KeyID)
	assert.Equal(t, []string{"RS256"}, infos[0].Algorithms)
	assert.Equal(t, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", infos[1].Thumbprint)
	assert.Equal(t, "OKP Ed25519", infos[1].Type)
	assert.Equal(t, []string{"EdDSA"}, infos[1].Algorithms)
	assert.Equal(t, "EC P-521", infos[2].Type)
	assert.Equal(t, []string{"ES512"}, infos[2].Algorithms)
	assert.NotEmpty(t, infos[3].Problem)
	assert.Empty(t, infos[3].Algorithms)
}
