package persauth

// Fuzz targets for what takes more than syntax: claims and key sets.

import (
	"bytes"
	"crypto/rsa"
	stdjson "encoding/json"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/persauth/persauth/internal/clock"
	"github.com/persauth/persauth/internal/jose"
	"github.com/persauth/persauth/internal/jsontest"
	"github.com/persauth/persauth/internal/strictjson"
)

// Claims are accepted exactly if they are strict JSON; what they say is what
// encoding/json reads, wherever in the payload it stands.
func FuzzClaims(f *testing.F) {
	for _, raw := range jsontest.Segments(f, "testdata/tokens.ndjson", 1) {
		f.Add(raw)
	}
	for _, seed := range []string{``, `{}`, ` {"exp":1e400}`, `{"exp":1800000900.5,"tenantId":"\u0061"}`, `{"context":{"tenantId":"a","role":["x","\n"]},"cnf":{"jkt":"y"}}`,
		`{"tenantId":"a","tenantId":"b"}`, `{"aud":["a",5],"role":null,"context":[]}`, "\n{\"sub\" :\t\"\u00e9\" , \"iss\":\"\\\\\"}"} {
		f.Add([]byte(seed))
	}
	flat, flatErr := claimTree(ClaimNames{})
	deep, deepErr := claimTree(ClaimNames{Tenant: "context.tenantId", Business: "/context/businessId", Role: "context.role"})
	if flatErr != nil || deepErr != nil {
		f.Fatal(flatErr, deepErr)
	}
	cfg := Config{}.defaults()
	expect := cfg.claimPolicy()
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) > jose.MaxTokenSize {
			return // no payload is that long
		}
		fuzzClaims(t, raw, flat, expect)
		fuzzClaims(t, raw, deep, expect, "context")
	})
}

var fuzzTime = clock.Of(time.Unix(1_800_000_000, 0))

func fuzzClaims(t *testing.T, raw []byte, tree []strictjson.Member, expect *claimPolicy, around ...string) {
	c := new(parsedClaims)
	err := c.decode(raw, tree, fuzzTime)
	strict, told := jsontest.ReadStrictly(raw, strictjson.MaxDepth)
	if told && strict != (err == nil) {
		t.Fatalf("strict: %v, error: %v: %q", strict, err, raw)
	}
	if err != nil {
		return
	}
	if !bytes.Equal(c.payload, raw) {
		t.Fatalf("payload is %q, not %q", c.payload, raw)
	}
	pers := func(name string) []string { return append(slices.Clone(around), name) }
	for _, claim := range []struct {
		field claimField
		path  []string
	}{
		{fieldIssuer, []string{"iss"}}, {fieldSubject, []string{"sub"}},
		{fieldID, []string{"jti"}}, {fieldConfirmation, []string{"cnf", "jkt"}},
		{fieldAuthType, []string{"authType"}}, {fieldEmail, []string{"email"}},
		{fieldTenant, pers("tenantId")}, {fieldBusiness, pers("businessId")},
	} {
		got := string(c.get(claim.field))
		want, ok := jsontest.TextOf(jsontest.Inside(raw, claim.path...))
		if got != want {
			t.Fatalf("%v is %q, not %q: %q", claim.path, got, want, raw)
		}
		if _, wrong := c.wrong[claim.field]; ok && got != "" && wrong {
			t.Fatalf("%v is a text and refused: %q", claim.path, raw)
		}
	}
	for _, claim := range []struct {
		field claimField
		path  []string
	}{{fieldAudience, []string{"aud"}}, {fieldRole, pers("role")}} {
		got := slices.Collect(strictjson.List(string(c.get(claim.field))))
		want, ok := jsontest.TextsOf(jsontest.Inside(raw, claim.path...))
		if _, wrong := c.wrong[claim.field]; ok && (wrong || !slices.Equal(got, want)) {
			t.Fatalf("%v is %q, not %q: %q", claim.path, got, want, raw)
		}
	}
	if allFailures(claimRules, c, expect) == nil {
		var exp float64
		if err := stdjson.Unmarshal(jsontest.Inside(raw, "exp"), &exp); err != nil || exp <= 1_800_000_000-30 {
			t.Fatalf("accepted with exp %v, %v: %q", exp, err, raw)
		}
		if difference := float64(c.expiresAt)/1e6 - exp; difference > 1e-3 || difference < -1e-3 {
			t.Fatalf("exp is %v, not %v: %q", c.expiresAt, exp, raw)
		}
		if text, ok := jsontest.TextOf(jsontest.Inside(raw, pers("tenantId")...)); !ok || text == "" {
			t.Fatalf("accepted without a tenant: %q", raw)
		}
	}
}

// Whatever the key set, New and InspectKeys say the same of it, and each key that
// is taken keeps to the rules.
func FuzzJWKS(f *testing.F) {
	set, err := os.ReadFile("testdata/jwks.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(set)
	for _, seed := range []string{``, `{"keys":[]}`, `{"keys":[{}],"keys":[]}`, `{"kty":"RSA"}`, `{"keys":[{"kty":"oct","k":"AAAA"},5]}`,
		`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","key_ops":["verify"]}]}`,
		`{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"AA"}]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		infos, err := InspectKeys(raw)
		usable := 0
		for i, info := range infos {
			if info.Position != i || (info.Problem == "") != (len(info.Algorithms) > 0) {
				t.Fatalf("key %d: %+v: %q", i, info, raw)
			}
			if info.Problem == "" {
				usable++
			}
		}
		v, newErr := New(Config{Keys: StaticKeys(raw)})
		if (newErr == nil) != (err == nil && usable > 0) {
			t.Fatalf("InspectKeys: %d keys, %v; New: %v: %q", usable, err, newErr, raw)
		}
		if newErr != nil {
			return
		}
		defer v.Close()
		held := v.keys.Latest()
		if len(held.Keys) != usable || len(held.Skipped) != len(infos)-usable {
			t.Fatalf("%d usable keys, %d held: %q", usable, len(held.Keys), raw)
		}
		for _, key := range held.Keys {
			if pub, ok := key.Public.(*rsa.PublicKey); ok {
				if bits := pub.N.BitLen(); bits < 2048 || bits > 8192 || pub.E < 3 || pub.E%2 == 0 {
					t.Fatalf("RSA key of %d bits, exponent %d: %q", bits, pub.E, raw)
				}
			}
			for _, alg := range key.Algorithms {
				if !jose.Algorithms[alg].Takes(key.Public) {
					t.Fatalf("%s with %s: %q", alg, key.Type, raw)
				}
			}
			for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "k"} {
				if jsontest.Inside(stdjson.RawMessage(key.Raw), name) != nil {
					t.Fatalf("a key with %q: %q", name, raw)
				}
			}
			if use, has := jsontest.TextOf(jsontest.Inside(stdjson.RawMessage(key.Raw), "use")); has && use != "sig" {
				t.Fatalf("a key for %q: %q", use, raw)
			}
		}
	})
}
