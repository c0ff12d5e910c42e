package persauthclient_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthclient"
	"github.com/persauth/persauth/persauthtest"
)

// program stands for the *testing.T that an example does not have.
type program struct{ cleanups []func() }

func (*program) Helper()                           {}
func (*program) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (t *program) Cleanup(f func())                { t.cleanups = append(t.cleanups, f) }

func (t *program) end() {
	for _, cleanup := range slices.Backward(t.cleanups) {
		cleanup()
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// body reads an answer.
func body(response *http.Response) string {
	defer response.Body.Close()
	return string(must(io.ReadAll(response.Body)))
}

// A program with a session of its own: it signs in with a provider's token, and its
// requests carry tokens that are bound to a key.
func Example() {
	t := new(program)
	defer t.end()
	iss := persauthtest.NewIssuer(t)
	pers := persauthtest.NewServer(t, iss) // in production: PERS
	orders := httptest.NewUnstartedServer(nil)
	v := iss.Verifier(func(cfg *persauth.Config) {
		cfg.DPoP = persauth.DPoP{Mode: persauth.DPoPRequired, Origin: "http://" + orders.Listener.Addr().String()}
	})
	orders.Config.Handler = v.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, _ := persauth.FromContext(r.Context())
		fmt.Fprint(w, "an order of ", caller.BusinessID())
	}))
	orders.Start()
	defer orders.Close()

	source, err := persauthclient.NewTokenSource(persauthclient.Config{
		Client: &persauthclient.Client{ProjectKey: pers.ProjectKey(), BaseURL: pers.URL()},
		BindTo: "ES256",
		SignIn: func(context.Context) (persauthclient.Request, error) {
			return persauthclient.Request{AuthToken: "a provider's", AuthType: persauth.AuthBusiness, Business: "shop"}, nil
		},
	})
	if err != nil {
		panic(err)
	}
	defer source.Close()
	transport, err := persauthclient.NewTransport(persauthclient.TransportConfig{Source: source, Origins: []string{orders.URL}})
	if err != nil {
		panic(err)
	}
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}

	fmt.Println(body(must(client.Get(orders.URL + "/orders/7"))))
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	// Output:
	// an order of shop
}

// A service that calls another one on behalf of its caller: the request that it
// makes carries the caller's own token, and goes to that service alone.
func ExampleCallerToken() {
	t := new(program)
	defer t.end()
	iss := persauthtest.NewIssuer(t)
	v := iss.Verifier()
	stock := httptest.NewServer(v.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, _ := persauth.FromContext(r.Context())
		fmt.Fprint(w, "7 left, says the stock to ", caller.Subject())
	})))
	defer stock.Close()

	transport, err := persauthclient.NewTransport(persauthclient.TransportConfig{
		Source:  persauthclient.CallerToken(),
		Origins: []string{stock.URL},
	})
	if err != nil {
		panic(err)
	}
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}

	shop := v.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, err := persauthclient.WithCallerToken(r.Context(), r)
		if errors.Is(err, persauthclient.ErrBound) {
			http.Error(w, "a token that is bound to your key cannot be passed on", http.StatusForbidden)
			return
		} else if err != nil {
			http.Error(w, "no token", http.StatusInternalServerError)
			return
		}
		ask, err := http.NewRequestWithContext(ctx, http.MethodGet, stock.URL+"/stock/7", nil)
		if err != nil {
			http.Error(w, "no request", http.StatusInternalServerError)
			return
		}
		response, err := client.Do(ask)
		if err != nil {
			http.Error(w, "the stock does not answer", http.StatusBadGateway)
			return
		}
		defer response.Body.Close()
		_, _ = io.Copy(w, response.Body)
	}))

	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/items/7", nil)
	r.Header.Set("Authorization", "Bearer "+iss.Token(map[string]any{"sub": "ann"}))
	shop.ServeHTTP(w, r)
	fmt.Println(w.Body)
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	// Output:
	// 7 left, says the stock to ann
}

// A job with a system token of the tenant, which lives for a year, from its
// settings.
func ExampleStaticToken() {
	t := new(program)
	defer t.end()
	iss := persauthtest.NewIssuer(t)
	v := iss.Verifier()
	reports := httptest.NewServer(v.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, _ := persauth.FromContext(r.Context())
		fmt.Fprint(w, "a report for a ", caller.AuthType(), " of ", caller.TenantID())
	})))
	defer reports.Close()
	os.Setenv("PERS_SYSTEM_TOKEN", iss.SystemToken("acme"))

	source, err := persauthclient.StaticToken(os.Getenv("PERS_SYSTEM_TOKEN"), nil)
	if err != nil {
		panic(err)
	}
	transport, err := persauthclient.NewTransport(persauthclient.TransportConfig{Source: source, Origins: []string{reports.URL}})
	if err != nil {
		panic(err)
	}
	client := &http.Client{Transport: transport, Timeout: time.Minute}

	fmt.Println(body(must(client.Get(reports.URL + "/reports/nightly"))))
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	// Output:
	// a report for a system of acme
}

// What there is to choose from, when a user may act for several businesses.
func ExampleSelectionError() {
	t := new(program)
	defer t.end()
	pers := persauthtest.NewServer(t, persauthtest.NewIssuer(t), persauthtest.WithMemberships(
		persauthtest.Membership{BusinessID: "7c9e6679", Name: "The Corner Shop"}, persauthtest.Membership{BusinessID: "9b2d3c14", Name: "The Kiosk"}))
	client := &persauthclient.Client{ProjectKey: pers.ProjectKey(), BaseURL: pers.URL(), HTTPClient: pers.Client()}

	request := persauthclient.Request{AuthToken: "a provider's", AuthType: persauth.AuthBusiness}
	_, err := client.Exchange(context.Background(), request)
	if choice := new(persauthclient.SelectionError); errors.As(err, &choice) {
		for _, option := range choice.Options {
			fmt.Println(option.Name)
		}
		request.Business = choice.Options[1].Business
	}
	tokens, err := client.Exchange(context.Background(), request)
	fmt.Println(tokens.AccessToken != "", err)
	// Output:
	// The Corner Shop
	// The Kiosk
	// true <nil>
}

// A unit test of a service that calls another one, without PERS.
func ExampleSource_test() {
	t := new(program)
	defer t.end()
	iss := persauthtest.NewIssuer(t)
	v := iss.Verifier()
	other := httptest.NewServer(v.Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	defer other.Close()

	source := iss.TokenSource(map[string]any{"tenantId": "acme"})
	transport, err := persauthclient.NewTransport(persauthclient.TransportConfig{Source: source, Origins: []string{other.URL}})
	if err != nil {
		panic(err)
	}
	client := &http.Client{Transport: transport}
	response := must(client.Get(other.URL))
	_ = body(response)
	fmt.Println(response.StatusCode)

	iss.Clock().Advance(time.Hour) // the next request has another token
	response = must(client.Get(other.URL))
	_ = body(response)
	fmt.Println(response.StatusCode, source.Issued())

	source.Fail(persauthclient.ErrUnavailable)
	_, err = client.Get(other.URL)
	fmt.Println(errors.Is(err, persauthclient.ErrUnavailable))
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	// Output:
	// 200
	// 200 2
	// true
}
