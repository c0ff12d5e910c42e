package persauth_test

// What authentication adds to a request.

import (
	"context"
	"encoding/binary"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/internal/clock"
	"github.com/persauth/persauth/internal/dpop"
	"github.com/persauth/persauth/persauthtest"
)

// nobody is a client that does not read its answer.
type nobody struct{ header http.Header }

func (n *nobody) Header() http.Header         { return n.header }
func (n *nobody) Write(b []byte) (int, error) { return len(b), nil }
func (n *nobody) WriteHeader(int)             {}

var nothing = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

// bearerRequest is a request with a token that v remembers.
func bearerRequest(tb testing.TB, iss *persauthtest.Issuer, v *persauth.Verifier) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/orders", nil)
	r.Header.Set("Authorization", "Bearer "+iss.BusinessToken("acme", "shop", "ADMIN"))
	if _, err := v.VerifyRequest(r); err != nil {
		tb.Fatal(err)
	}
	return r
}

// A remembered token, beside what no middleware can do without: the copy of the
// request, with a context of its own.
func BenchmarkMiddleware(b *testing.B) {
	type key struct{}
	iss := persauthtest.NewIssuer(b)
	v := iss.Verifier()
	r := bearerRequest(b, iss, v)
	w := &nobody{http.Header{}}
	copies := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		nothing.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, r)))
	})
	for _, c := range []struct {
		name    string
		handler http.Handler
	}{
		{"Middleware", v.Middleware(nothing)},
		{"Require", v.Require(persauth.BusinessRole(persauth.Fixed("shop"), "ADMIN"))(nothing)},
	} {
		b.Run(c.name, func(b *testing.B) {
			paired(b, 1000,
				func(int) { copies.ServeHTTP(w, r) },
				func(int) { c.handler.ServeHTTP(w, r) })
		})
	}
}

// A proof that is checked for the first time, with a remembered token, beside
// the bare check of its signature.
func BenchmarkDPoP(b *testing.B) {
	for _, alg := range []string{"ES256", "EdDSA", "RS256"} {
		b.Run(alg, func(b *testing.B) {
			iss := persauthtest.NewIssuer(b)
			again := &anew{memory: dpop.NewMemory(1<<20, 2*time.Minute, clock.New(nil))}
			v := iss.Verifier(func(cfg *persauth.Config) {
				cfg.DPoP = persauth.DPoP{Origin: "https://shop.example", Replays: again}
			})
			client := iss.DPoPClient(alg)
			token := iss.BoundToken(client, map[string]any{"businessId": "shop", "authType": "business", "role": "ADMIN"})
			requests := make([]*http.Request, 64)
			for i := range requests {
				requests[i] = httptest.NewRequest(http.MethodGet, "/businesses/shop/orders", nil)
				client.Authorize(requests[i], token, persauthtest.ProofClaim("htu", "https://shop.example/businesses/shop/orders"))
			}
			public := client.Key().Public()
			handler := v.Middleware(nothing)
			w := &nobody{http.Header{}}
			paired(b, 16,
				func(i int) { floor(b, public, requests[i%64].Header.Get("DPoP")) },
				func(i int) { handler.ServeHTTP(w, requests[i%64]) })
			if n := v.Status().Counters.Refused; len(n) > 0 {
				b.Fatal(n)
			}
		})
	}
}

// anew makes every proof a new one, so that a benchmark need not sign them all.
type anew struct {
	memory *dpop.Memory
	n      int
}

func (a *anew) Claim(ctx context.Context, p persauth.UsedProof) (bool, error) {
	a.n++
	binary.NativeEndian.PutUint64(p.ID[:], uint64(a.n))
	binary.NativeEndian.PutUint64(p.Subject[:], uint64(a.n%64))
	return a.memory.Claim(ctx, dpop.Claimed(p))
}
