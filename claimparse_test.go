package persauth_test

import (
	"strings"
	"testing"

	"github.com/persauth/persauth"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestClaimNumbers(t *testing.T) {
	key := keyFor("EdDSA")
	v := holding(t, setFor("EdDSA"))
	for number, want := range map[string]struct{ exp, nbf, iat error }{
		`1800000900`:             {nil, persauth.ErrNotYetValid, persauth.ErrNotYetValid},
		`1800000900.5`:           {nil, persauth.ErrNotYetValid, persauth.ErrNotYetValid},
		`1.8000009e9`:            {nil, persauth.ErrNotYetValid, persauth.ErrNotYetValid},
		`18000009E+2`:            {nil, persauth.ErrNotYetValid, persauth.ErrNotYetValid},
		`253402300799`:           {nil, persauth.ErrNotYetValid, persauth.ErrNotYetValid},
		`253402300799.5`:         {nil, persauth.ErrNotYetValid, persauth.ErrNotYetValid},
		`253402300800`:           {persauth.ErrClaims, persauth.ErrClaims, persauth.ErrClaims},
		`1800000900000`:          {persauth.ErrClaims, persauth.ErrClaims, persauth.ErrClaims}, // milliseconds
		`1e308`:                  {persauth.ErrClaims, persauth.ErrClaims, persauth.ErrClaims},
		`1e400`:                  {persauth.ErrClaims, persauth.ErrClaims, persauth.ErrClaims},
		`-1e400`:                 {persauth.ErrClaims, persauth.ErrClaims, persauth.ErrClaims},
		`1e99999999999999999999`: {persauth.ErrClaims, persauth.ErrClaims, persauth.ErrClaims},
		`9223372036854775807`:    {persauth.ErrClaims, persauth.ErrClaims, persauth.ErrClaims},
		`18446744075509552516`:   {persauth.ErrClaims, persauth.ErrClaims, persauth.ErrClaims}, // 2^64 and a good one
		`-62167219201`:           {persauth.ErrClaims, persauth.ErrClaims, persauth.ErrClaims},
		`-62167219200`:           {persauth.ErrExpired, nil, nil},
		`-1`:                     {persauth.ErrExpired, nil, nil},
		`-0`:                     {persauth.ErrExpired, nil, nil},
		`0`:                      {persauth.ErrExpired, nil, nil},
		`1e-400`:                 {persauth.ErrExpired, nil, nil},
		`1799999000`:             {persauth.ErrExpired, nil, nil},
		`"1800000900"`:           {persauth.ErrClaims, persauth.ErrClaims, persauth.ErrClaims},
		`""`:                     {persauth.ErrClaims, persauth.ErrClaims, persauth.ErrClaims},
		`"2027-01-15T08:00:00Z"`: {persauth.ErrClaims, persauth.ErrClaims, persauth.ErrClaims},
		`null`:                   {persauth.ErrClaims, persauth.ErrClaims, persauth.ErrClaims},
		`true`:                   {persauth.ErrClaims, persauth.ErrClaims, persauth.ErrClaims},
		`[1800000900]`:           {persauth.ErrClaims, persauth.ErrClaims, persauth.ErrClaims},
		`{}`:                     {persauth.ErrClaims, persauth.ErrClaims, persauth.ErrClaims},
		`01800000900`:            {persauth.ErrMalformed, persauth.ErrMalformed, persauth.ErrMalformed},
		`+1800000900`:            {persauth.ErrMalformed, persauth.ErrMalformed, persauth.ErrMalformed},
		`0x6B49D584`:             {persauth.ErrMalformed, persauth.ErrMalformed, persauth.ErrMalformed},
		`1_800_000_900`:          {persauth.ErrMalformed, persauth.ErrMalformed, persauth.ErrMalformed},
		`NaN`:                    {persauth.ErrMalformed, persauth.ErrMalformed, persauth.ErrMalformed},
		`Infinity`:               {persauth.ErrMalformed, persauth.ErrMalformed, persauth.ErrMalformed},
	} {
		t.Run(number, func(t *testing.T) {
			answers(t, v, tokenWith(key, `{"tenantId":"acme","exp":`+number+`}`), want.exp)
			answers(t, v, tokenWith(key, `{"tenantId":"acme","exp":1800000900,"nbf":`+number+`}`), want.nbf)
			answers(t, v, tokenWith(key, `{"tenantId":"acme","exp":1800000900,"iat":`+number+`}`), want.iat)
		})
	}
	answers(t, v, tokenWith(key, `{"tenantId":"acme"}`), persauth.ErrClaims)
	answers(t, v, tokenWith(key, `{"tenantId":"acme","EXP":1800000900}`), persauth.ErrClaims)
}

func TestClaimForms(t *testing.T) {
	key := keyFor("EdDSA")
	v := holding(t, setFor("EdDSA"))
	strict := holding(t, setFor("EdDSA"), func(cfg *persauth.Config) {
		cfg.Issuer, cfg.Audience, cfg.Tenants = "https://pers.example", "shop", []string{"acme", "acme-2"}
	})
	const ours = `"exp":1800000900,"iss":"https://pers.example","aud":"shop","tenantId":"acme"`
	answers(t, strict, tokenWith(key, `{`+ours+`}`), nil)

	// Each claim takes the place of ours; free is without, configured with
	// something to compare it to.
	for claim, want := range map[string]struct{ free, configured error }{
		`"iss":"https://pers.example"`:          {nil, nil},
		`"iss":"https:\/\/pers.ex\u0061mple"`:   {nil, nil},
		`"iss":"https://pers.example/"`:         {nil, persauth.ErrIssuer},
		`"iss":"HTTPS://pers.example"`:          {nil, persauth.ErrIssuer},
		`"iss":"https://pers.example\u0000"`:    {nil, persauth.ErrIssuer},
		`"iss":""`:                              {nil, persauth.ErrIssuer},
		`"-iss":0`:                              {nil, persauth.ErrIssuer},
		`"iss":null`:                            {persauth.ErrClaims, persauth.ErrClaims},
		`"iss":["https://pers.example"]`:        {persauth.ErrClaims, persauth.ErrClaims},
		`"iss":5`:                               {persauth.ErrClaims, persauth.ErrClaims},
		`"aud":"shop"`:                          {nil, nil},
		`"aud":["shop"]`:                        {nil, nil},
		`"aud":["other","sh\u006fp"]`:           {nil, nil},
		`"aud":["other"]`:                       {nil, persauth.ErrAudience},
		`"aud":[]`:                              {nil, persauth.ErrAudience},
		`"aud":"shop,other"`:                    {nil, persauth.ErrAudience},
		`"aud":"shop other"`:                    {nil, persauth.ErrAudience},
		`"aud":"SHOP"`:                          {nil, persauth.ErrAudience},
		`"aud":""`:                              {nil, persauth.ErrAudience},
		`"-aud":0`:                              {nil, persauth.ErrAudience},
		`"aud":null`:                            {persauth.ErrClaims, persauth.ErrClaims},
		`"aud":["shop",5]`:                      {persauth.ErrClaims, persauth.ErrClaims},
		`"aud":["shop",null]`:                   {persauth.ErrClaims, persauth.ErrClaims},
		`"aud":[["shop"]]`:                      {persauth.ErrClaims, persauth.ErrClaims},
		`"aud":{"shop":true}`:                   {persauth.ErrClaims, persauth.ErrClaims},
		`"tenantId":"acme"`:                     {nil, nil},
		`"tenantId":"\u0061cme"`:                {nil, nil},
		`"tenantId":"acme-2"`:                   {nil, nil},
		`"tenantId":"acme-3"`:                   {nil, persauth.ErrTenant},
		`"tenantId":"ACME"`:                     {nil, persauth.ErrTenant},
		`"tenantId":"acme "`:                    {nil, persauth.ErrTenant},
		`"-tenantId":0`:                         {persauth.ErrClaims, persauth.ErrClaims},
		`"-tenantId":0,"TenantId":"acme"`:       {persauth.ErrClaims, persauth.ErrClaims},
		`"tenantId":""`:                         {persauth.ErrClaims, persauth.ErrClaims},
		`"tenantId":null`:                       {persauth.ErrClaims, persauth.ErrClaims},
		`"tenantId":1`:                          {persauth.ErrClaims, persauth.ErrClaims},
		`"tenantId":true`:                       {persauth.ErrClaims, persauth.ErrClaims},
		`"tenantId":["acme"]`:                   {persauth.ErrClaims, persauth.ErrClaims},
		`"tenantId":{"id":"acme"}`:              {persauth.ErrClaims, persauth.ErrClaims},
		`"tenantId":"acme","tenantId":"acme-2"`: {persauth.ErrMalformed, persauth.ErrMalformed},
		`"tenantId":"acme","t\u0065nantId":"b"`: {persauth.ErrMalformed, persauth.ErrMalformed},
		`"x":{"tenantId":"b","tenantId":"c"}`:   {persauth.ErrMalformed, persauth.ErrMalformed},
		`"x":"` + "\xff" + `"`:                  {persauth.ErrMalformed, persauth.ErrMalformed},
		`"x":"\ud800"`:                          {persauth.ErrMalformed, persauth.ErrMalformed},
		`"x":` + nested(31):                     {nil, nil},
		`"x":` + nested(32):                     {persauth.ErrMalformed, persauth.ErrMalformed},
		`"x":1}{"y":1`:                          {persauth.ErrMalformed, persauth.ErrMalformed},
		`"sub":"alice"`:                         {nil, nil},
		`"sub":5`:                               {persauth.ErrClaims, persauth.ErrClaims},
		`"sub":null`:                            {persauth.ErrClaims, persauth.ErrClaims},
		`"jti":"1"`:                             {nil, nil},
		`"jti":1`:                               {persauth.ErrClaims, persauth.ErrClaims},
		`"businessId":null`:                     {nil, nil},
		`"businessId":1`:                        {persauth.ErrClaims, persauth.ErrClaims},
		`"businessId":["b"]`:                    {persauth.ErrClaims, persauth.ErrClaims},
		`"authType":null`:                       {nil, nil},
		`"authType":1`:                          {persauth.ErrClaims, persauth.ErrClaims},
		`"email":null`:                          {nil, nil},
		`"email":{}`:                            {persauth.ErrClaims, persauth.ErrClaims},
		`"role":null`:                           {nil, nil},
		`"role":5`:                              {persauth.ErrClaims, persauth.ErrClaims},
		`"role":{"ADMIN":true}`:                 {persauth.ErrClaims, persauth.ErrClaims},
		`"role":["ADMIN",null]`:                 {persauth.ErrClaims, persauth.ErrClaims},
		`"role":["ADMIN",5]`:                    {persauth.ErrClaims, persauth.ErrClaims},
		`"role":[["ADMIN"]]`:                    {persauth.ErrClaims, persauth.ErrClaims},
		`"cnf":{"jkt":"thumb"}`:                 {nil, nil},
		`"cnf":null`:                            {persauth.ErrClaims, persauth.ErrClaims},
		`"cnf":"thumb"`:                         {persauth.ErrClaims, persauth.ErrClaims},
		`"cnf":{}`:                              {persauth.ErrClaims, persauth.ErrClaims},
		`"cnf":{"x5t#S256":"thumb"}`:            {persauth.ErrClaims, persauth.ErrClaims},
		`"cnf":{"jkt":""}`:                      {persauth.ErrClaims, persauth.ErrClaims},
		`"cnf":{"jkt":null}`:                    {persauth.ErrClaims, persauth.ErrClaims},
		`"cnf":{"jkt":["thumb"]}`:               {persauth.ErrClaims, persauth.ErrClaims},
		`"cnf":{"jkt":"a","jkt":"b"}`:           {persauth.ErrMalformed, persauth.ErrMalformed},
	} {
		t.Run(claim, func(t *testing.T) {
			token := tokenWith(key, `{`+replaced(ours, claim)+`}`)
			answers(t, v, token, want.free)
			answers(t, strict, token, want.configured)
		})
	}
}

func replaced(claims, claim string) string {
	name, _, _ := strings.Cut(claim[1:], `"`)
	kept := []string{claim}
	for one := range strings.SplitSeq(claims, ",") {
		if !strings.HasPrefix(one, `"`+strings.TrimPrefix(name, "-")+`":`) {
			kept = append(kept, one)
		}
	}
	return strings.Join(kept, ",")
}

func TestClaimsNotAnObject(t *testing.T) {
	key := keyFor("EdDSA")
	v := holding(t, setFor("EdDSA"))
	for payload, want := range map[string]error{
		goodClaims:               nil,
		" \r\n\t" + goodClaims:   nil,
		goodClaims + "\n":        nil,
		"":                       persauth.ErrMalformed,
		"null":                   persauth.ErrMalformed,
		"[" + goodClaims + "]":   persauth.ErrMalformed,
		`"` + "x" + `"`:          persauth.ErrMalformed,
		"\ufeff" + goodClaims:    persauth.ErrMalformed,
		goodClaims + goodClaims:  persauth.ErrMalformed,
		goodClaims + "\x00":      persauth.ErrMalformed,
		b64(goodClaims):          persauth.ErrMalformed,
		goodClaims[1:]:           persauth.ErrMalformed,
		"{" + goodClaims[1:50]:   persauth.ErrMalformed,
		"{\"a\":1," + goodClaims: persauth.ErrMalformed,
	} {
		t.Run(payload[:min(12, len(payload))], func(t *testing.T) {
			token := tokenWith(key, payload)
			answers(t, v, token, want)
			got, err := v.InsecureVerifySignatureOnly(t.Context(), token)
			require.NoError(t, err, "the signature is good, whatever is signed")
			assert.Equal(t, payload, string(got))
		})
	}
}

// Where the claims of PERS are is configured: by name, by path, by JSON Pointer.
func TestClaimNames(t *testing.T) {
	key := keyFor("EdDSA")
	for name, c := range map[string]struct {
		names  persauth.ClaimNames
		claims string
		want   error
	}{
		"other names": {persauth.ClaimNames{Tenant: "tid", Business: "bid", Role: "roles", AuthType: "kind", Email: "mail"},
			`"tid":"acme","bid":"shop","roles":["ADMIN"],"kind":"business","mail":"a@b"`, nil},
		"paths": {persauth.ClaimNames{Tenant: "context.tenant.id", Business: "context.business", Role: "context.role", AuthType: "kind", Email: "user.email"},
			`"context":{"x":[],"tenant":{"id":"acme","x":{}},"business":"shop","role":"ADMIN"},"kind":"business","user":{"email":"a@b"}`, nil},
		"paths, through escapes": {persauth.ClaimNames{Tenant: "context.tenant.id", Business: "context.business", Role: "context.role", AuthType: "kind", Email: "user.email"},
			`"c\u006fntext":{"t\u0065nant":{"\u0069d":"acm\u0065"},"business":"shop","role":"ADMIN"},"kind":"business","user":{"email":"a@b"}`, nil},
		"pointers": {persauth.ClaimNames{Tenant: "/https:~1~1pers.ninja~1tenant", Business: "/a.b/c~0d", Role: "/role", AuthType: "/a.b/e", Email: "/~01"},
			`"https://pers.ninja/tenant":"acme","a.b":{"c~d":"shop","e":"business"},"role":"ADMIN","~1":"a@b"`, nil},
		"beside a registered claim": {persauth.ClaimNames{Tenant: "cnf.tenant", Business: "cnf.business", AuthType: "kind"},
			`"cnf":{"tenant":"acme","jkt":"x","business":"shop"},"role":"ADMIN","kind":"business","email":"a@b"`, nil},
		"the default is not looked at": {persauth.ClaimNames{Tenant: "tid"}, `"tenantId":"acme"`, persauth.ErrClaims},
		"a dot is no path in a token":  {persauth.ClaimNames{Tenant: "a.b"}, `"a.b":"acme"`, persauth.ErrClaims},
		"a path is no dot in a token":  {persauth.ClaimNames{Tenant: "/a.b"}, `"a":{"b":"acme"}`, persauth.ErrClaims},
		"no object on the way":         {persauth.ClaimNames{Tenant: "a.b"}, `"a":"acme"`, persauth.ErrClaims},
		"an array on the way":          {persauth.ClaimNames{Tenant: "a.b"}, `"a":[{"b":"acme"}]`, persauth.ErrClaims},
		"null on the way":              {persauth.ClaimNames{Tenant: "a.b"}, `"a":null`, persauth.ErrClaims},
		"no object around a business":  {persauth.ClaimNames{Business: "a.b"}, `"tenantId":"acme","a":5`, persauth.ErrClaims},
		"twice on the way":             {persauth.ClaimNames{Tenant: "a.b"}, `"a":{"b":"acme"},"a":{"b":"other"}`, persauth.ErrMalformed},
		"twice at the end":             {persauth.ClaimNames{Tenant: "a.b"}, `"a":{"b":"acme","\u0062":"other"}`, persauth.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			v := holding(t, setFor("EdDSA"), func(cfg *persauth.Config) { cfg.ClaimNames = c.names })
			got := answers(t, v, tokenWith(key, `{"exp":1800000900,`+c.claims+`}`), c.want)
			if c.want == nil {
				assert.Equal(t, "acme", got.TenantID())
				assert.Equal(t, "shop", got.BusinessID())
				assert.Equal(t, []string{"ADMIN"}, got.Roles())
				assert.Equal(t, persauth.AuthBusiness, got.AuthType())
				assert.Equal(t, "a@b", got.Email())
			}
		})
	}

	// A business that is null, or not there, is none.
	v := holding(t, setFor("EdDSA"), func(cfg *persauth.Config) { cfg.ClaimNames.Business = "context.businessId" })
	for _, context := range []string{``, `"context":null,`, `"context":{},`, `"context":{"businessId":null},`, `"businessId":"shop",`} {
		assert.Empty(t, answers(t, v, tokenWith(key, `{`+context+goodClaims[1:]), nil).BusinessID(), context)
	}
}

func TestClaimNamesRefused(t *testing.T) {
	for name, names := range map[string]persauth.ClaimNames{
		"an empty part":         {Tenant: "a..b"},
		"a dot before":          {Business: ".a"},
		"a dot after":           {Role: "a."},
		"a dot alone":           {Email: "."},
		"an empty pointer":      {Tenant: "/"},
		"an empty pointer part": {Tenant: "/a//b"},
		"a registered claim":    {Tenant: "sub"},
		"inside of one":         {Tenant: "sub.tenant"},
		"around one":            {Tenant: "cnf"},
		"one, by a pointer":     {Tenant: "/exp"},
		"another's default":     {Tenant: "businessId"},
		"the same twice":        {Tenant: "id", Business: "id"},
		"one inside another":    {Tenant: "a", Business: "a.b"},
		"one around another":    {Tenant: "a.b", Business: "a"},
		"too deep":              {Tenant: strings.Repeat("a.", 32) + "a"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := persauth.New(persauth.Config{Keys: persauth.StaticKeys([]byte(setFor("EdDSA"))), ClaimNames: names})
			require.Error(t, err)
		})
	}
	names := persauth.ClaimNames{Tenant: strings.Repeat("a.", 31) + "a"} // as deep as a token may be
	v := holding(t, setFor("EdDSA"), func(cfg *persauth.Config) { cfg.ClaimNames = names })
	deep := strings.Repeat(`{"a":`, 31) + `{"a":"acme","exp":0}` + strings.Repeat("}", 31)
	answers(t, v, tokenWith(keyFor("EdDSA"), `{"exp":1800000900,`+deep[1:]), nil)
}
