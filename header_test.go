package persauth_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/persauth/persauth"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Each header here is signed as it stands: only what it says can be refused.

// nested is an array in an array and so on, so many deep.
func nested(deep int) string { return strings.Repeat("[", deep) + strings.Repeat("]", deep) }

func TestHeaderJSON(t *testing.T) {
	key := keyFor("EdDSA")
	v := holding(t, setFor("EdDSA"))
	const plain = `"alg":"EdDSA","kid":"kid-EdDSA"`
	for name, c := range map[string]struct {
		header string
		want   error
	}{
		"plain":                         {`{` + plain + `}`, nil},
		"white space":                   {" \n{\t" + plain + "\r}\n ", nil},
		"members that nobody knows":     {`{` + plain + `,"":0,"x":[1e400,null,true,{"y":-0}]}`, nil},
		"escapes":                       {`{"\u0061lg":"EdDS\u0041","kid":"kid\u002dEdDSA"}`, nil},
		"empty":                         {``, persauth.ErrMalformed},
		"white space alone":             {` `, persauth.ErrMalformed},
		"null":                          {`null`, persauth.ErrMalformed},
		"a string":                      {`"alg"`, persauth.ErrMalformed},
		"a number":                      {`1`, persauth.ErrMalformed},
		"an array":                      {`[{` + plain + `}]`, persauth.ErrMalformed},
		"an empty object":               {`{}`, persauth.ErrAlgorithm},
		"cut off":                       {`{` + plain, persauth.ErrMalformed},
		"a byte order mark":             {"\ufeff{" + plain + `}`, persauth.ErrMalformed},
		"UTF-16":                        {"{\x00\"\x00", persauth.ErrMalformed},
		"something after it":            {`{` + plain + `}x`, persauth.ErrMalformed},
		"another object after it":       {`{` + plain + `}{}`, persauth.ErrMalformed},
		"a NUL after it":                {`{` + plain + "}\x00", persauth.ErrMalformed},
		"a comma after the last":        {`{` + plain + `,}`, persauth.ErrMalformed},
		"a comment":                     {`{/**/` + plain + `}`, persauth.ErrMalformed},
		"single quotes":                 {`{'alg':'EdDSA'}`, persauth.ErrMalformed},
		"bare names":                    {`{alg:"EdDSA"}`, persauth.ErrMalformed},
		"a line break in a string":      {"{" + plain + ",\"x\":\"\n\"}", persauth.ErrMalformed},
		"a number with a leading zero":  {`{` + plain + `,"x":01}`, persauth.ErrMalformed},
		"NaN":                           {`{` + plain + `,"x":NaN}`, persauth.ErrMalformed},
		"alg twice":                     {`{` + plain + `,"alg":"EdDSA"}`, persauth.ErrMalformed},
		"alg twice, through an escape":  {`{` + plain + `,"\u0061lg":"none"}`, persauth.ErrMalformed},
		"alg twice, all in escapes":     {`{` + plain + `,"\u0061\u006C\u0067":"EdDSA"}`, persauth.ErrMalformed},
		"kid twice":                     {`{` + plain + `,"kid":"other"}`, persauth.ErrMalformed},
		"kid twice, through an escape":  {`{"alg":"EdDSA","k\u0069d":"other","kid":"kid-EdDSA"}`, persauth.ErrMalformed},
		"an unknown member twice":       {`{` + plain + `,"x":1,"x":1}`, persauth.ErrMalformed},
		"an unknown one, by an escape":  {`{` + plain + `,"x":1,"\u0078":1}`, persauth.ErrMalformed},
		"twice inside an unknown one":   {`{` + plain + `,"x":{"y":1,"y":1}}`, persauth.ErrMalformed},
		"the same name on two levels":   {`{` + plain + `,"x":{"alg":"none","kid":"x"}}`, nil},
		"other case, beside":            {`{` + plain + `,"ALG":"none","Kid":"x","TYP":"x","Crit":[]}`, nil},
		"other case, instead":           {`{"Alg":"EdDSA","kid":"kid-EdDSA"}`, persauth.ErrAlgorithm},
		"Kelvin sign for k, instead":    {`{"alg":"EdDSA","` + "\u212a" + `id":"kid-EdDSA"}`, nil}, // so without a kid
		"a name that is not UTF-8":      {"{" + plain + ",\"\xff\":1}", persauth.ErrMalformed},
		"a value that is not UTF-8":     {"{" + plain + ",\"x\":\"\xc3\x28\"}", persauth.ErrMalformed},
		"an overlong slash":             {"{" + plain + ",\"x\":\"\xc0\xaf\"}", persauth.ErrMalformed},
		"a surrogate in UTF-8":          {"{" + plain + ",\"x\":\"\xed\xa0\x80\"}", persauth.ErrMalformed},
		"a pair of surrogates":          {`{` + plain + `,"x":"\ud83d\ude00"}`, nil},
		"a lone high surrogate":         {`{` + plain + `,"x":"\ud83d"}`, persauth.ErrMalformed},
		"a lone low surrogate":          {`{` + plain + `,"x":"\ude00"}`, persauth.ErrMalformed},
		"surrogates the wrong way":      {`{` + plain + `,"x":"\ude00\ud83d"}`, persauth.ErrMalformed},
		"a lone surrogate in a name":    {`{` + plain + `,"\ud83d":1}`, persauth.ErrMalformed},
		"an escape that there is not":   {`{` + plain + `,"x":"\x41"}`, persauth.ErrMalformed},
		"32 deep":                       {`{` + plain + `,"x":` + nested(31) + `}`, nil},
		"32 deep, more than once":       {`{` + plain + `,"x":[` + nested(30) + `,` + nested(30) + `]}`, nil},
		"33 deep":                       {`{` + plain + `,"x":` + nested(32) + `}`, persauth.ErrMalformed},
		"5,000 deep":                    {`{` + plain + `,"x":` + nested(5000) + `}`, persauth.ErrMalformed},
		"deep in brackets never closed": {`{` + plain + `,"x":` + strings.Repeat("[", 5000), persauth.ErrMalformed},
		"many side by side":             {`{` + plain + `,"x":[` + strings.Repeat("[],", 999) + `[]]}`, nil},
		"many brackets in a string":     {`{` + plain + `,"x":"` + strings.Repeat("[{", 999) + `"}`, nil},
		"and behind an escaped quote":   {`{` + plain + `,"x":"\"` + strings.Repeat("[{", 99) + `\\"}`, nil},
		"deep behind a tricky string":   {`{` + plain + `,"x":"\\","y":` + nested(32) + `}`, persauth.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			answers(t, v, key.Sign([]byte(c.header), []byte(goodClaims)), c.want)
		})
	}
}

func TestHeaderMembers(t *testing.T) {
	key := keyFor("EdDSA")
	v := holding(t, setFor("EdDSA"))
	for member, want := range map[string]error{
		`"kid":"kid-EdDSA"`:        nil,
		`"x":1`:                    nil, // without a kid: one key fits
		`"kid":""`:                 persauth.ErrUnknownKey,
		`"kid":"KID-EDDSA"`:        persauth.ErrUnknownKey,
		`"kid":"kid-EdDSA "`:       persauth.ErrUnknownKey,
		`"kid":"kid-EdDSA\u0000"`:  persauth.ErrUnknownKey,
		`"kid":"../../etc/passwd"`: persauth.ErrUnknownKey,
		`"kid":"` + strings.Repeat("k", 8000) + `"`: persauth.ErrUnknownKey,
		`"kid":null`:          persauth.ErrMalformed,
		`"kid":1`:             persauth.ErrMalformed,
		`"kid":["kid-EdDSA"]`: persauth.ErrMalformed,
		`"kid":{}`:            persauth.ErrMalformed,
		`"kid":true`:          persauth.ErrMalformed,

		`"typ":"JWT"`:                         nil,
		`"typ":"jwt"`:                         nil,
		`"typ":"at+jwt"`:                      nil,
		`"typ":"AT+JWT"`:                      nil,
		`"typ":"application/at+jwt"`:          nil,
		`"typ":"application/jwt"`:             nil,
		`"typ":"Application/JWT"`:             nil,
		`"typ":"dpop+jwt"`:                    persauth.ErrMalformed,
		`"typ":"DPoP+JWT"`:                    persauth.ErrMalformed,
		`"typ":"application/dpop+jwt"`:        persauth.ErrMalformed,
		`"typ":"JOSE"`:                        persauth.ErrMalformed,
		`"typ":"logout+jwt"`:                  persauth.ErrMalformed,
		`"typ":"JWT "`:                        persauth.ErrMalformed,
		`"typ":"text/jwt"`:                    persauth.ErrMalformed,
		`"typ":"application/"`:                persauth.ErrMalformed,
		`"typ":"application/application/jwt"`: persauth.ErrMalformed,
		`"typ":""`:                            persauth.ErrMalformed,
		`"typ":null`:                          persauth.ErrMalformed,
		`"typ":5`:                             persauth.ErrMalformed,
		`"typ":["JWT"]`:                       persauth.ErrMalformed,

		`"cty":"JWT"`:               nil,
		`"crit":["exp"]`:            persauth.ErrMalformed,
		`"crit":["b64"],"b64":true`: persauth.ErrMalformed,
		`"crit":[]`:                 persauth.ErrMalformed,
		`"crit":null`:               persauth.ErrMalformed,
		`"cr\u0069t":["exp"]`:       persauth.ErrMalformed,
		`"b64":true`:                persauth.ErrMalformed,
		`"b64":false`:               persauth.ErrMalformed,
		`"b64":null`:                persauth.ErrMalformed,
		`"zip":"DEF"`:               nil, // means nothing in a JWS
	} {
		t.Run(member[:min(len(member), 40)], func(t *testing.T) {
			token := key.Sign([]byte(`{"alg":"EdDSA",`+member+`}`), []byte(goodClaims))
			answers(t, v, token, want)
			_, err := v.InsecureVerifySignatureOnly(t.Context(), token)
			if want == nil {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, want)
			}
		})
	}
}

// A payload that is not encoded (RFC 7797) is not taken for one that is.
func TestHeaderUnencodedPayload(t *testing.T) {
	key := keyFor("EdDSA")
	v := holding(t, setFor("EdDSA"))
	header := b64(`{"alg":"EdDSA","kid":"kid-EdDSA","b64":false,"crit":["b64"]}`)
	answers(t, v, signedAsIs(key, header, goodClaims), persauth.ErrMalformed)
	answers(t, v, signedAsIs(key, header, b64(goodClaims)), persauth.ErrMalformed)
}

// Config.TokenTypes replaces the types, and is compared in the same way.
func TestHeaderTokenTypes(t *testing.T) {
	key := keyFor("EdDSA")
	v := holding(t, setFor("EdDSA"), func(cfg *persauth.Config) { cfg.TokenTypes = []string{"application/PERS+jwt"} })
	for typ, want := range map[string]error{
		`,"typ":"pers+jwt"`:             nil,
		`,"typ":"application/pers+JWT"`: nil,
		``:                              nil,
		`,"typ":"JWT"`:                  persauth.ErrMalformed,
		`,"typ":"at+jwt"`:               persauth.ErrMalformed,
	} {
		t.Run(typ, func(t *testing.T) {
			answers(t, v, key.Sign([]byte(`{"alg":"EdDSA","kid":"kid-EdDSA"`+typ+`}`), []byte(goodClaims)), want)
		})
	}
}

// A header that is known from another token is judged in the same way, and is
// no introduction for what comes with it.
func TestHeaderRemembered(t *testing.T) {
	key := keyFor("EdDSA")
	v := holding(t, setFor("EdDSA"))
	for n := range 3 {
		answers(t, v, tokenWith(key, fmt.Sprintf(`{"n":%d,%s`, n, goodClaims[1:])), nil)
	}
	header, payload, _ := segmentsOf(t, tokenWith(key, goodClaims))
	answers(t, v, header+"."+payload+"."+b64(make([]byte, 64)), persauth.ErrSignature)
	answers(t, v, header+"."+payload+"!."+b64(make([]byte, 64)), persauth.ErrMalformed)
	answers(t, v, tokenWith(key, `{"sub":"alice"}`), persauth.ErrClaims)
}

// What went wrong is told in short and without the token.
func TestHeaderErrors(t *testing.T) {
	key := keyFor("EdDSA")
	v := holding(t, setFor("EdDSA"))
	long := strings.Repeat("n", 4000)
	token := key.Sign([]byte(`{"alg":"`+long+`","kid":"k\u001b[31m\r\n"}`), []byte(goodClaims))
	_, err := v.Verify(t.Context(), token)
	var detail *persauth.Error
	require.ErrorAs(t, err, &detail)
	assert.Equal(t, "alg", detail.Check)
	assert.Less(t, len(detail.Got), 100)
	assert.Less(t, len(err.Error()), 600)
	for _, part := range strings.Split(token, ".") {
		assert.NotContains(t, err.Error(), part)
	}
	for _, control := range []string{"\x1b", "\r", "\n"} {
		assert.NotContains(t, err.Error(), control)
	}
}
