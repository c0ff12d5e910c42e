package main

// The tokens that everybody gets: those of a business session, with 14 claims.

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/persauth/persauth/persauthtest"
)

const (
	issuer   = "https://api.pers.ninja"
	audience = "pers-api"
	tenant   = "550e8400-e29b-41d4-a716-446655440001"
	business = "550e8400-e29b-41d4-a716-446655440000"
)

var algorithms = []string{"RS256", "ES256", "EdDSA"}

// session is what a token says.
type session struct {
	Issuer    string   `json:"iss"`
	Audience  []string `json:"aud"`
	Subject   string   `json:"sub"`
	ID        string   `json:"jti"`
	IssuedAt  int64    `json:"iat"`
	NotBefore int64    `json:"nbf"`
	ExpiresAt int64    `json:"exp"`
	private
}

// world is one key with its tokens, and the server that publishes it.
type world struct {
	key   *persauthtest.Key
	begin time.Time
	// asked counts the requests for keys.
	asked atomic.Int64
}

// newWorld makes a world with the same key at every run.
func newWorld(algorithm string) (*world, error) {
	key, err := persauthtest.NewKey(algorithm+"-11", algorithm, "bench")
	return &world{key: key, begin: time.Now().Truncate(time.Second)}, err
}

// token returns the i-th token of a session. change, which may be nil, makes
// another one of it.
func (w *world) token(i int, change func(*session)) string {
	s := session{
		Issuer: issuer, Audience: []string{audience},
		Subject: fmt.Sprintf("0b0e3c2e-6a57-4f0e-9d49-%012d", i), ID: fmt.Sprintf("%016x", i),
		IssuedAt: w.begin.Unix(), NotBefore: w.begin.Unix(), ExpiresAt: w.begin.Add(4 * time.Hour).Unix(),
		private: private{TenantID: tenant, BusinessID: business, AuthType: "business", Role: "ADMIN",
			Email: fmt.Sprintf("user-%08x@id.pers.ninja", i), Name: "Some One", Scope: "read"},
	}
	if change != nil {
		change(&s)
	}
	return w.signed(header(w.key.Algorithm, w.key.ID), s)
}

func header(algorithm, kid string) string {
	return fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"JWT"}`, algorithm, kid)
}

// signed returns a token with any header and claims, signed with the key.
func (w *world) signed(header string, claims any) string {
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(err) // strings and numbers
	}
	return w.key.Sign([]byte(header), payload)
}

// withHeader returns a token with another header, and the signature it had.
func withHeader(header, token string) string {
	_, rest, _ := strings.Cut(token, ".")
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + rest
}

// unsigned is a token without its signature, and without the dot before it.
func unsigned(token string) string { return token[:strings.LastIndexByte(token, '.')] }

// forged is a token with the signature of another one.
func forged(token, other string) string { return unsigned(token) + other[len(unsigned(other)):] }

// tokens returns n tokens, signed on all cores.
func (w *world) tokens(n int, change func(*session)) []string {
	all := make([]string, n)
	var next atomic.Int64
	var signers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		signers.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				all[i] = w.token(i, change)
			}
		})
	}
	signers.Wait()
	return all
}

// padded makes a token as long as an RS256 token is, whatever signs it.
func padded(s *session) {
	s.Scope += strings.Repeat(" businesses:read", 12)
}

// jwks returns the key set that the world publishes.
func (w *world) jwks() []byte { return keySet(w) }

// keySet is the key set of several worlds.
func keySet(worlds ...*world) []byte {
	keys := make([][]byte, len(worlds))
	for i, w := range worlds {
		keys[i] = w.key.JWK()
	}
	return fmt.Appendf(nil, `{"keys":[%s]}`, bytes.Join(keys, []byte(",")))
}

const jwksURL = issuer + "/.well-known/jwks.json"

// client reaches the issuer, and nobody else, without a network.
func (w *world) client() *http.Client { return &http.Client{Transport: w} }

// RoundTrip answers as the issuer does.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	body := ""
	switch r.URL.String() {
	case jwksURL:
		w.asked.Add(1)
		body = string(w.jwks())
	case issuer + "/.well-known/openid-configuration":
		body = fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q}`, issuer, jwksURL)
	default:
		return nil, fmt.Errorf("no such page: %s", r.URL)
	}
	return &http.Response{
		StatusCode: http.StatusOK, Status: "200 OK", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {"application/json"}}, ContentLength: int64(len(body)),
		Body: io.NopCloser(strings.NewReader(body)),
	}, nil
}
