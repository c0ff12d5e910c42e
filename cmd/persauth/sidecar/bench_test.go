package sidecar

import (
	"net/http"
	"testing"

	"github.com/persauth/persauth/persauthtest"
)

// discarded is a response that nobody reads.
type discarded struct {
	header http.Header
	status int
}

func (d *discarded) Header() http.Header         { return d.header }
func (d *discarded) WriteHeader(status int)      { d.status = status }
func (d *discarded) Write(p []byte) (int, error) { return len(p), nil }

// BenchmarkDecision is a decision about a remembered token: all that the sidecar
// adds to net/http and the verifier.
func BenchmarkDecision(b *testing.B) {
	iss := persauthtest.NewIssuer(b)
	for _, proxy := range allProxies {
		b.Run(proxy, func(b *testing.B) {
			e := newEndpoint(b, iss, configFor(proxy))
			r := shape(proxy, "GET", "/businesses/"+business+"/orders?page=2")
			r.Header.Set("Authorization", "Bearer "+iss.BusinessToken(tenant, business, "EDITOR"))
			r.Header.Set("User-Agent", "curl/7.88.1")
			r.Header.Set("Accept", "*/*")
			b.ReportAllocs()
			for b.Loop() {
				w := discarded{header: make(http.Header, 8)}
				e.ServeHTTP(&w, r)
				if w.status != http.StatusOK {
					b.Fatal(w.status)
				}
			}
		})
	}
}
