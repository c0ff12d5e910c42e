// Package persauthclient gets tokens of the PERS API, keeps them fresh, and sends
// them: the other half of package persauth.
//
// A [Client] exchanges a provider's token for a session (POST /auth/token), and
// refreshes it (POST /auth/refresh). A [TokenSource] keeps one session fresh for
// all goroutines of a program, and across its restarts with a [Store]. A
// [Transport] sends requests with its tokens, with a proof for each where they
// are bound to a key (RFC 9449):
//
//	source, err := persauthclient.NewTokenSource(persauthclient.Config{
//		Client: &persauthclient.Client{ProjectKey: os.Getenv("PERS_PROJECT_KEY")},
//		SignIn: func(ctx context.Context) (persauthclient.Request, error) { … },
//	})
//	…
//	transport, err := persauthclient.NewTransport(persauthclient.TransportConfig{
//		Source: source, Origins: []string{"https://api.example.com"}})
//	…
//	client := &http.Client{Transport: transport}
//
// No error, log line or printed value holds a token or a project key.
package persauthclient
