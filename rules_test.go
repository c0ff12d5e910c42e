package persauth_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
)

func TestClaimTimes(t *testing.T) {
	key := keyFor("EdDSA")
	const µs = time.Microsecond
	for _, leeway := range []struct{ configured, effective time.Duration }{
		{0, 30 * time.Second},
		{persauth.NoLeeway, 0},
		{time.Second, time.Second},
		{10 * time.Minute, 10 * time.Minute},
	} {
		for name, c := range map[string]struct {
			claims string
			at     time.Duration // after testTime
			want   error
		}{
			"before exp":             {`"exp":1800000000`, leeway.effective - µs, nil},
			"a nanosecond before":    {`"exp":1800000000`, leeway.effective - time.Nanosecond, nil},
			"at exp":                 {`"exp":1800000000`, leeway.effective, persauth.ErrExpired},
			"after exp":              {`"exp":1800000000`, leeway.effective + µs, persauth.ErrExpired},
			"before a fraction exp":  {`"exp":1800000000.123456`, leeway.effective + 123455*µs, nil},
			"at a fraction exp":      {`"exp":1800000000.123456`, leeway.effective + 123456*µs, persauth.ErrExpired},
			"before nbf":             {`"exp":1900000000,"nbf":1800000000`, -leeway.effective - µs, persauth.ErrNotYetValid},
			"a nanosecond too early": {`"exp":1900000000,"nbf":1800000000`, -leeway.effective - time.Nanosecond, persauth.ErrNotYetValid},
			"at nbf":                 {`"exp":1900000000,"nbf":1800000000`, -leeway.effective, nil},
			"before a fraction nbf":  {`"exp":1900000000,"nbf":1800000000.123456`, -leeway.effective + 123455*µs, persauth.ErrNotYetValid},
			"at a fraction nbf":      {`"exp":1900000000,"nbf":1800000000.123456`, -leeway.effective + 123456*µs, nil},
			"before iat":             {`"exp":1900000000,"iat":1800000000`, -leeway.effective - µs, persauth.ErrNotYetValid},
			"at iat":                 {`"exp":1900000000,"iat":1800000000`, -leeway.effective, nil},
			"before a fraction iat":  {`"exp":1900000000,"iat":1800000000.654321`, -leeway.effective + 654320*µs, persauth.ErrNotYetValid},
			"at a fraction iat":      {`"exp":1900000000,"iat":1800000000.654321`, -leeway.effective + 654321*µs, nil},
		} {
			t.Run(fmt.Sprintf("%v: %s", leeway.effective, name), func(t *testing.T) {
				token := tokenWith(key, `{"tenantId":"acme",`+c.claims+`}`)
				for _, remember := range []bool{false, true} {
					clock := new(persauthtest.Clock)
					v := holding(t, setFor("EdDSA"), func(cfg *persauth.Config) { cfg.Leeway, cfg.Now = leeway.configured, clock.Now })
					if remember { // at a moment when it is good
						clock.Set(testTime.Add(30 * time.Minute))
						if strings.Contains(c.claims, `"exp":18`) {
							clock.Set(testTime.Add(-time.Hour))
						}
						answers(t, v, token, nil)
					}
					clock.Set(testTime.Add(c.at))
					answers(t, v, token, c.want)
				}
			})
		}
	}
}

func TestClaimsAllFaults(t *testing.T) {
	v := holding(t, setFor("EdDSA"), func(cfg *persauth.Config) {
		cfg.Issuer, cfg.Audience, cfg.Tenants = "pers", "shop", []string{"acme"}
	})
	claims, err := v.Verify(t.Context(), tokenWith(keyFor("EdDSA"),
		`{"exp":1,"nbf":1900000000,"iss":"x","aud":"y","tenantId":"z","role":5}`))
	assert.Nil(t, claims)
	for _, want := range []error{persauth.ErrClaims, persauth.ErrExpired, persauth.ErrNotYetValid,
		persauth.ErrIssuer, persauth.ErrAudience, persauth.ErrTenant} {
		assert.ErrorIs(t, err, want)
	}
	assert.NotErrorIs(t, err, persauth.ErrSignature)
}

// Of a token that nobody signed, the claims are used for one thing only: to tell
// an old one for little. Whatever else is wrong with them, a bad signature comes
// first; and no claim makes up for one.
func TestClaimsOfAForgedToken(t *testing.T) {
	v := holding(t, setFor("EdDSA"), func(cfg *persauth.Config) {
		cfg.Issuer, cfg.Audience, cfg.Tenants = "pers", "shop", []string{"acme"}
	})
	const ours = `"exp":1800000900,"iss":"pers","aud":"shop","tenantId":"acme"`
	for name, c := range map[string]struct {
		claims string
		want   error
	}{
		"good":                  {`{` + ours + `}`, persauth.ErrSignature},
		"expired":               {`{` + replaced(ours, `"exp":1799999000`) + `}`, persauth.ErrExpired},
		"expired, and more":     {`{` + replaced(replaced(ours, `"iss":"x"`), `"exp":1`) + `}`, persauth.ErrExpired},
		"expired, not so plain": {`{ ` + replaced(ours, `"exp":1`) + `}`, persauth.ErrSignature},
		"about to expire":       {`{` + replaced(ours, `"exp":1799999990`) + `}`, persauth.ErrSignature},
		"never expires":         {`{` + replaced(ours, `"-exp":1`) + `}`, persauth.ErrSignature},
		"expires some day":      {`{` + replaced(ours, `"exp":"1"`) + `}`, persauth.ErrSignature},
		"issuer":                {`{` + replaced(ours, `"iss":"x"`) + `}`, persauth.ErrSignature},
		"tenant":                {`{` + replaced(ours, `"tenantId":5`) + `}`, persauth.ErrSignature},
		"not JSON":              {`hello`, persauth.ErrSignature},
	} {
		t.Run(name, func(t *testing.T) {
			header, payload, _ := segmentsOf(t, tokenWith(keyFor("EdDSA"), c.claims))
			forged := header + "." + payload + "." + b64(make([]byte, 64))
			claims, err := v.Verify(t.Context(), forged)
			assert.Nil(t, claims)
			assert.ErrorIs(t, err, c.want)
			_, err = v.InsecureVerifySignatureOnly(t.Context(), forged)
			assert.ErrorIs(t, err, persauth.ErrSignature)
		})
	}
}
