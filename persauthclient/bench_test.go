package persauthclient_test

// What a request with a token in hand costs beside the bare transport, over
// loopback sockets, request by request in turn:
//
//	go test -run '^$' -bench . ./persauthclient

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/persauth/persauth/persauthclient"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/require"
)

// inHand is a source with a token in hand.
func inHand(b *testing.B, bindTo string) *persauthclient.TokenSource {
	b.Helper()
	iss := persauthtest.NewIssuer(b)
	server := persauthtest.NewServer(b, iss)
	source, err := persauthclient.NewTokenSource(persauthclient.Config{BindTo: bindTo,
		Client: &persauthclient.Client{ProjectKey: server.ProjectKey(), BaseURL: server.URL(), HTTPClient: server.Client()}})
	require.NoError(b, err)
	require.NoError(b, source.SignIn(b.Context(), persauthclient.Request{AuthToken: "x"}))
	b.Cleanup(source.Close)
	return source
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

// BenchmarkTransport reports the median of a request with a token, from
// http.NewRequest on, in parts of that of a bare one whose token is put into the
// header by hand, "x-bare", and what is on top, "ns-on-top". With a proof, the bare
// one always sends the same.
func BenchmarkTransport(b *testing.B) {
	for _, c := range []struct{ name, bindTo string }{{"Bearer", ""}, {"DPoP ES256", "ES256"}, {"DPoP EdDSA", "EdDSA"}} {
		b.Run(c.name, func(b *testing.B) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
			defer server.Close()
			source := inHand(b, c.bindTo)
			base := &http.Transport{}
			defer base.CloseIdleConnections()
			with, err := persauthclient.NewTransport(persauthclient.TransportConfig{Source: source, Origins: []string{server.URL}, Base: base})
			require.NoError(b, err)
			token, err := source.AccessToken(b.Context())
			require.NoError(b, err)
			_, proof, err := source.Authorize(b.Context(), "GET", target, "")
			require.NoError(b, err)
			send := func(client *http.Client, byHand bool) time.Duration {
				began := time.Now()
				r, err := http.NewRequestWithContext(b.Context(), "GET", server.URL+"/orders", nil)
				if err != nil {
					b.Fatal(err)
				}
				r.Header.Set("Accept", "application/json")
				if byHand {
					r.Header.Set("Authorization", "Bearer "+token)
					if proof != "" {
						r.Header.Set("DPoP", proof)
					}
				}
				response, err := client.Do(r)
				if err != nil {
					b.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
				return time.Since(began)
			}
			bare, ours := &http.Client{Transport: base}, &http.Client{Transport: with}
			var times [2][]time.Duration
			for i := 0; b.Loop(); i++ {
				for _, which := range []int{i % 2, 1 - i%2} { // who goes first changes
					if which == 0 {
						times[0] = append(times[0], send(bare, true))
					} else {
						times[1] = append(times[1], send(ours, false))
					}
				}
			}
			theirs, mine := median(times[0]), median(times[1])
			b.ReportMetric(float64(mine)/float64(theirs), "x-bare")
			b.ReportMetric(float64(mine-theirs), "ns-on-top")
		})
	}
}

// answering answers at once, so that what is measured is what we add.
type answering struct{ response *http.Response }

func (a answering) RoundTrip(*http.Request) (*http.Response, error) { return a.response, nil }

// BenchmarkOverhead is all that the transport adds to a request. With a proof,
// "ns-above-signature" is what it adds to the bare signature over as many bytes by
// the same key, in turn.
func BenchmarkOverhead(b *testing.B) {
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(b, err)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(b, err)
	input := make([]byte, 480)
	iss := persauthtest.NewIssuer(b)
	for _, c := range []struct {
		name   string
		signer crypto.Signer
		sign   func() error
	}{
		{"Bearer", nil, func() error { return nil }},
		{"DPoP ES256", p256, func() error {
			digest := sha256.Sum256(input)
			_, err := ecdsa.SignASN1(rand.Reader, p256, digest[:])
			return err
		}},
		{"DPoP EdDSA", ed, func() error {
			_, err := ed.Sign(nil, input, crypto.Hash(0))
			return err
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			source, err := persauthclient.StaticToken(iss.UserToken("acme"), nil)
			require.NoError(b, err)
			if c.signer != nil {
				key, err := persauthclient.NewKey(c.signer)
				require.NoError(b, err)
				source, err = persauthclient.StaticToken(iss.Token(map[string]any{"cnf": map[string]string{"jkt": key.Thumbprint()}}), key)
				require.NoError(b, err)
			}
			with, err := persauthclient.NewTransport(persauthclient.TransportConfig{Source: source, Origins: []string{origin},
				Base: answering{&http.Response{StatusCode: http.StatusNoContent, Header: http.Header{"Date": {"x"}}, Body: http.NoBody}}})
			require.NoError(b, err)
			r, err := http.NewRequestWithContext(b.Context(), "GET", origin+"/orders", nil)
			require.NoError(b, err)
			r.Header.Set("Accept", "application/json")
			var ours, theirs []time.Duration
			for b.Loop() {
				began := time.Now()
				if err := c.sign(); err != nil {
					b.Fatal(err)
				}
				between := time.Now()
				if _, err := with.RoundTrip(r); err != nil {
					b.Fatal(err)
				}
				theirs, ours = append(theirs, between.Sub(began)), append(ours, time.Since(between))
			}
			b.ReportMetric(float64(median(ours)-median(theirs)), "ns-above-signature")
			b.ReportMetric(0, "ns/op") // of both together: it means nothing
		})
	}
}
