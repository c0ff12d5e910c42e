package report_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/cmd/persauth/inspector/report"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The answer is that of the library, whatever stands around the token.
func TestVerdict(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	good := iss.Token(map[string]any{"iss": "https://pers.example", "aud": "shop", "org": "acme"})
	keys := string(iss.JWKS())
	for name, c := range map[string]struct {
		request report.Request
		want    report.Verdict
		title   string
	}{
		"good":              {report.Request{Token: good, Keys: keys}, report.Valid, "Valid"},
		"in white space":    {report.Request{Token: " \n" + good + "\r\n", Keys: keys}, report.Valid, "Valid"},
		"as a header":       {report.Request{Token: "authorization: bearer " + good, Keys: keys}, report.Valid, "Valid"},
		"as a DPoP header":  {report.Request{Token: "DPoP " + good, Keys: keys}, report.Valid, "Valid"},
		"the issuer":        {report.Request{Token: good, Keys: keys, Issuer: "https://pers.example"}, report.Valid, "Valid"},
		"another issuer":    {report.Request{Token: good, Keys: keys, Issuer: "https://other.example"}, report.Invalid, "Invalid: issuer"},
		"the audience":      {report.Request{Token: good, Keys: keys, Audience: "shop"}, report.Valid, "Valid"},
		"another audience":  {report.Request{Token: good, Keys: keys, Audience: "bank"}, report.Invalid, "Invalid: audience"},
		"another tenant":    {report.Request{Token: good, Keys: keys, Tenants: []string{"other"}}, report.Invalid, "Invalid: tenant"},
		"claim names":       {report.Request{Token: good, Keys: keys, Tenants: []string{"acme"}, ClaimNames: persauth.ClaimNames{Tenant: "org"}}, report.Valid, "Valid"},
		"a claim not there": {report.Request{Token: good, Keys: keys, ClaimNames: persauth.ClaimNames{Tenant: "nope"}}, report.Invalid, "Invalid"},
		"in an hour":        {report.Request{Token: good, Keys: keys, Now: time.Now().Add(time.Hour).Format(time.RFC3339)}, report.Invalid, "Invalid: expired"},
		"no keys":           {report.Request{Token: good}, report.Unverified, "Not verified"},
		"no keys, forged":   {report.Request{Token: iss.ForgedToken()}, report.Unverified, "Not verified"},
		"no keys, no kid": {report.Request{Token: iss.TokenWithHeader(map[string]any{"kid": nil}, map[string]any{})},
			report.Unverified, "Not verified"},
		"no keys, expired": {report.Request{Token: iss.ExpiredToken()}, report.Invalid, "Invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			a := report.Explain(c.request)
			assert.Empty(t, a.Problem)
			assert.Equal(t, c.want, a.Verdict, a.Text)
			assert.Contains(t, a.Title, c.title)
			assert.Equal(t, a.Verdict == report.Valid, len(a.Reasons) == 0)
			assert.NotContains(t, a.Text, strings.Split(c.request.Token, ".")[2])
			require.NotEmpty(t, a.Claims)
		})
	}
}

// A setting that does not hold is named, and no token is called good or bad.
func TestProblems(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	good := report.Request{Token: iss.Token(map[string]any{}), Keys: string(iss.JWKS())}
	for name, c := range map[string]struct {
		change func(*report.Request)
		want   string
	}{
		"no key set":        {func(r *report.Request) { r.Keys = "<html>" }, "keys: "},
		"an empty set":      {func(r *report.Request) { r.Keys = `{"keys":[]}` }, "no usable key"},
		"a time":            {func(r *report.Request) { r.Now = "yesterday" }, "time: "},
		"a leeway":          {func(r *report.Request) { r.Leeway = "long" }, "leeway: "},
		"a negative leeway": {func(r *report.Request) { r.Leeway = "-1s" }, "leeway: "},
		"a long leeway":     {func(r *report.Request) { r.Leeway = "1h" }, "Leeway"},
		"a proof alone":     {func(r *report.Request) { r.Proof = "x" }, "the address of the request"},
		"control codes":     {func(r *report.Request) { r.Now = "\x1b[31m" }, "time: "},
	} {
		t.Run(name, func(t *testing.T) {
			r := good
			c.change(&r)
			a := report.Explain(r)
			assert.Contains(t, a.Problem, c.want)
			assert.Empty(t, a.Verdict)
			assert.NotContains(t, a.Problem, "\x1b")
		})
	}
	assert.Contains(t, report.JSON("nothing"), "problem")
}

func TestProof(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	client := iss.DPoPClient("ES256")
	token := iss.BoundToken(client, map[string]any{})
	const address = "https://api.example.com/orders?page=2"
	r := report.Request{Token: token, Keys: string(iss.JWKS()), Method: "POST", URL: address, Proof: client.Proof("POST", "https://api.example.com/orders", token)}
	with := report.Explain(r)
	assert.Equal(t, report.Valid, with.Verdict)
	for _, c := range with.Checks {
		assert.NotEqual(t, persauth.Failed, c.Result, c.Name)
	}
	without := r
	without.Proof = ""
	assert.Equal(t, report.Invalid, report.Explain(without).Verdict, "a bound token alone")
	for name, change := range map[string]func(*report.Request){
		"another method":  func(r *report.Request) { r.Method = "GET" },
		"another address": func(r *report.Request) { r.URL = "https://api.example.com/other" },
		"another host":    func(r *report.Request) { r.URL = "https://other.example.com/orders" },
		"another client": func(r *report.Request) {
			r.Proof = iss.DPoPClient("ES256").Proof("POST", "https://api.example.com/orders", token)
		},
		"another token":   func(r *report.Request) { r.Proof = client.Proof("POST", "https://api.example.com/orders", "other") },
		"nothing like it": func(r *report.Request) { r.Proof = "x.y.z" },
		"not bound":       func(r *report.Request) { r.Token = iss.UserToken("acme") },
	} {
		t.Run(name, func(t *testing.T) {
			bad := r
			change(&bad)
			a := report.Explain(bad)
			assert.Equal(t, report.Invalid, a.Verdict)
			last := a.Checks[len(a.Checks)-1]
			assert.Equal(t, persauth.Failed, last.Result)
			assert.Contains(t, last.Name, "dpop")
		})
	}
	// With a token that is bad by itself there is nothing to hold a proof against.
	r.Token = iss.ExpiredToken()
	a := report.Explain(r)
	assert.Equal(t, report.Invalid, a.Verdict)
	assert.Contains(t, a.Title, "expired")
	assert.Equal(t, persauth.Skipped, a.Checks[len(a.Checks)-1].Result)
}

// Times are said in words, and what a stranger wrote can do no harm as text.
func TestRows(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	iss.Clock().Set(now)
	token := iss.Token(map[string]any{"exp": now.Add(-3 * time.Minute).Unix(), "nbf": now.Add(2 * time.Hour).Unix(),
		"iat": now.Add(-18 * time.Minute).Unix(), "odd\x1b[31m": "\u202egnp"})
	var a report.Answer
	request, err := json.Marshal(report.Request{Token: token, Keys: string(iss.JWKS()), Now: now.Format(time.RFC3339)})
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal([]byte(report.JSON(string(request))), &a))
	rows := make(map[string]report.Row)
	for _, row := range a.Claims {
		rows[row.Name] = row
	}
	assert.Equal(t, "expired 3m ago, at 2026-03-04 05:03:07 UTC", rows["exp"].Note)
	assert.Equal(t, "becomes valid in 2h0m, at 2026-03-04 07:06:07 UTC", rows["nbf"].Note)
	assert.Equal(t, "issued 18m ago, at 2026-03-04 04:48:07 UTC", rows["iat"].Note)
	assert.Equal(t, `"\u202egnp"`, rows[`odd\x1b[31m`].Value)
	assert.Equal(t, now.Format(time.RFC3339), a.At)
	require.Len(t, a.Keys, 1)
	assert.Equal(t, "test-key-1", a.Keys[0].KeyID)
}
