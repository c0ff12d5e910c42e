package persauthclient

// Fuzz targets for what reads bytes of others: PERS, services, stores, signers.

import (
	"encoding/asn1"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"
)

const fuzzToken = "eyJhbGciOiJFUzI1NiJ9.eyJleHAiOjk5OTk5OTk5OTksImlhdCI6OTk5OTk5OTAwMH0.c2ln"

// Tokens that are taken can be sent, and live.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"accessToken":"`+fuzzToken+`","refreshToken":"r"}`), "")
	f.Add([]byte(`{"accessToken":"a.e30.c"}`), "Mon, 02 Jan 2006 15:04:05 GMT")
	f.Add([]byte(`{"message":"MULTIPLE_CONTEXT_SELECTION_REQUIRED","options":[{"businessId":"b"}]}`), "x")
	f.Fuzz(func(t *testing.T, body []byte, date string) {
		a := answer{status: http.StatusOK, header: http.Header{"Date": {date}}, body: body, now: time.Unix(9999999000, 0)}
		tokens, err := readTokens(opExchange, a, nil)
		if err == nil && (!isToken(tokens.AccessToken) || tokens.ExpiresAt.IsZero() || tokens.life <= 0 || tokens.life > longestLife) {
			t.Errorf("taken: %+v", *tokens)
		}
		if err != nil && strings.Contains(err.Error(), "eyJ") {
			t.Error("the error repeats a token")
		}
		a.status = http.StatusBadRequest
		if err := a.refusal(opRefresh); err == nil {
			t.Error("a refusal is none")
		}
	})
}

// However the options look, they are bounded, and name something.
func FuzzOptions(f *testing.F) {
	f.Add([]byte(`{"message":"MULTIPLE_CONTEXT_SELECTION_REQUIRED","options":[{"businessId":"b","name":"n"}]}`))
	f.Add([]byte(`[["MULTIPLE_CONTEXT_SELECTION_REQUIRED"],[{"business":{"id":"b"}}]]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		options, found := selection(body)
		if len(options) > maxOptions || !found && len(options) > 0 && !strings.Contains(string(body), selectionCode) {
			t.Error("options that nobody asked for")
		}
		for _, o := range options {
			if o.Business == "" && o.Tenant == "" || max(len(o.Business), len(o.Tenant), len(o.Name), len(o.Role)) > maxText {
				t.Errorf("%+v", o)
			}
		}
	})
}

// The error code of a challenge is one word.
func FuzzChallenge(f *testing.F) {
	f.Add(`DPoP error="use_dpop_nonce", algs="ES256"`)
	f.Add(`Basic realm="error=x", Bearer error=invalid_token`)
	f.Fuzz(func(t *testing.T, challenge string) {
		code := challengeError(http.Header{"Www-Authenticate": {challenge}})
		if strings.ContainsAny(code, "\", \t") || !strings.Contains(challenge, code) {
			t.Errorf("%q", code)
		}
	})
}

// A record of a session is taken only with a token that can be sent.
func FuzzSession(f *testing.F) {
	s := session{Version: sessionVersion, Account: "a", AccessToken: fuzzToken, RefreshToken: "r"}
	kept, err := s.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(kept)
	f.Fuzz(func(t *testing.T, kept []byte) {
		s, err := decodeSession(kept, "a")
		if err != nil || s == nil {
			return
		}
		if !isToken(s.AccessToken) {
			t.Error("not a token")
		}
		h := hold(s, nil)
		if now := time.Now(); h.fresh(now) && !h.alive(now) {
			t.Error("fresh, and not alive")
		}
	})
}

// Signatures are read as encoding/asn1 does.
func FuzzFixedSignature(f *testing.F) {
	for _, n := range []int64{1, 127, 128, 1 << 40} {
		der, err := asn1.Marshal(struct{ R, S *big.Int }{big.NewInt(n), new(big.Int).Lsh(big.NewInt(n), 200)})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		var want struct{ R, S *big.Int }
		rest, err := asn1.Unmarshal(der, &want)
		if err == nil {
			again, err := asn1.Marshal(want) // Unmarshal leaves out what else is in a sequence
			if err != nil || string(again) != string(der[:len(der)-len(rest)]) {
				return
			}
		}
		good := err == nil && len(rest) == 0 && want.R.Sign() > 0 && want.S.Sign() > 0 && want.R.BitLen() <= 256 && want.S.BitLen() <= 256
		got, err := fixedSignature(der)
		if good != (err == nil) {
			t.Fatalf("%x: taken %v, want %v", der, err == nil, good)
		}
		if good && (new(big.Int).SetBytes(got[:32]).Cmp(want.R) != 0 || new(big.Int).SetBytes(got[32:]).Cmp(want.S) != 0) {
			t.Errorf("%x: other numbers", der)
		}
	})
}
