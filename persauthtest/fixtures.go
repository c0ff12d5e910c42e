package persauthtest

// Tokens and keys as files, for services in other languages and for tests that
// must not change.

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Fixture is a token of [WriteFixtures].
type Fixture struct {
	Name string `json:"name"`
	// Expect is "valid", "invalid", or "unknown-key": well made, and signed by a
	// key that is not in the set.
	Expect string `json:"expect"`
	// Error is what persauth.Code says of it; empty for a valid one.
	Error string `json:"error,omitempty"`
	// Rule says who has to notice: "jwt": any library for JWTs that is told the
	// algorithms, and checks "exp" and "nbf"; "strict": one that takes nothing
	// that two parsers could take for two things; "pers": one that knows PERS.
	Rule string `json:"rule,omitempty"`
	// Why says what is special about it.
	Why   string `json:"why"`
	Token string `json:"token"`
}

// fixtureTime is when the fixtures were issued, and fixtureExpiry when they
// expire: after any test.
var (
	fixtureTime   = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	fixtureExpiry = time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)
)

// fixtureSeed is the seed where none is given.
const fixtureSeed = "persauth"

// WriteFixtures writes to the folder dir, which is made where it is missing:
// jwks.json, the key set; tokens.ndjson, a [Fixture] a line, good and bad ones;
// and each private key as KID.pem (PKCS #8). Keys and tokens are those of an
// issuer with these options: by default RS256, ES256 and EdDSA from a fixed seed.
// They stay good until 2099, and the same options write the same bytes.
//
// The keys are no secret: use them in tests alone.
func WriteFixtures(t TB, dir string, options ...IssuerOption) {
	t.Helper()
	iss, all := fixtures(t, options)
	var lines bytes.Buffer
	for _, f := range all {
		lines.Write(append(marshal(f), '\n'))
	}
	files := map[string][]byte{"jwks.json": append(iss.JWKS(), '\n'), "tokens.ndjson": lines.Bytes()}
	for _, key := range iss.Keys() {
		// A device's key stays in the device.
		if raw, err := x509.MarshalPKCS8PrivateKey(key.private); err == nil {
			files[fileName(key.ID)+".pem"] = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatalf("persauthtest: %v", err)
	}
	for name, content := range files {
		mode := os.FileMode(0o644)
		if strings.HasSuffix(name, ".pem") {
			mode = 0o600
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, mode); err != nil {
			t.Fatalf("persauthtest: %v", err)
		}
	}
}

// Fixtures are those of [WriteFixtures], and the issuer that signed them.
func Fixtures(t TB, options ...IssuerOption) (*Issuer, []Fixture) {
	t.Helper()
	return fixtures(t, options)
}

// fileName is a key ID as the name of a file, wherever it came from.
func fileName(id string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, id)
}

func fixtures(t TB, options []IssuerOption) (*Issuer, []Fixture) {
	t.Helper()
	var chosen issuerOptions
	for _, option := range options {
		option.changeIssuer(&chosen)
	}
	if chosen.seed == "" {
		options = append(options, WithSeed(fixtureSeed))
	}
	if chosen.algorithms == nil && chosen.sources == nil {
		options = append(options, WithAlgorithms("RS256", "ES256", "EdDSA"))
	}
	iss := NewIssuer(t, options...)
	iss.clock.Set(fixtureTime)
	for i, key := range iss.keys {
		fixed := *key
		fixed.fixed = true
		iss.keys[i] = &fixed
	}
	iss.known, iss.signer = iss.keys, iss.keys[0]
	f := &fixtureMaker{Issuer: iss.With(WithLifetime(fixtureExpiry.Sub(fixtureTime)))}
	f.good()
	f.late()
	f.forged()
	f.odd()
	f.foreign()
	return iss, f.all
}
