package persauthtest

// Checks that explain themselves: where one does not hold, the test shows every
// check of the token.

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/persauth/persauth"
)

// Accepts fails the test where v does not accept token, and shows every check of
// it, with what was wanted and what was there. It returns the claims.
func Accepts(t TB, v *persauth.Verifier, token string) *persauth.Claims {
	t.Helper()
	claims, err := v.Verify(context.Background(), token)
	if err != nil {
		t.Fatalf("persauthtest: want a token that is accepted, got: %v\n%s", err, explained(v, token))
	}
	return claims
}

// Refuses fails the test where v accepts token, or refuses it for something else
// than want, and shows every check of it. want is one of persauth's sentinels; nil
// stands for any. It returns the error.
func Refuses(t TB, v *persauth.Verifier, token string, want error) error {
	t.Helper()
	claims, err := v.Verify(context.Background(), token)
	wanted := "a token that is refused"
	if want != nil {
		wanted += " with: " + want.Error()
	}
	switch {
	case err == nil:
		t.Fatalf("persauthtest: want %s, got one of subject %q, tenant %q\n%s", wanted, claims.Subject(), claims.TenantID(), explained(v, token))
	case want != nil && !errors.Is(err, want):
		t.Fatalf("persauthtest: want %s, got: %v\n%s", wanted, err, explained(v, token))
	}
	return err
}

// RecordedRequests fails the test where the server was not asked n times, and
// shows what it was asked. It returns the requests of the endpoint, oldest first.
func RecordedRequests(t TB, s *Server, e Endpoint, n int) []Request {
	t.Helper()
	asked := s.Requests(e)
	if got := s.Count(e); got != n {
		var b strings.Builder
		for i, r := range s.Requests(EndpointAll) {
			fmt.Fprintf(&b, "  %d. %s at %s", i+1, r.Endpoint, r.At.UTC().Format("15:04:05.000"))
			if !r.Authorized {
				b.WriteString(", without the right project key")
			}
			if r.NoCache {
				b.WriteString(", past all caches")
			}
			if r.Fault != "" {
				b.WriteString(", answered with a fault: " + r.Fault)
			}
			b.WriteByte('\n')
		}
		t.Fatalf("persauthtest: want %d requests of %s, got %d; all of them:\n%s", n, e, got, &b)
	}
	return asked
}

// explained is the report on a token as text. It holds no part of the token but
// what the checks quote.
func explained(v *persauth.Verifier, token string) string {
	report := v.Explain(context.Background(), token)
	width := 0
	for _, c := range report.Checks {
		width = max(width, len(c.Name))
	}
	var b strings.Builder
	for _, c := range report.Checks {
		fmt.Fprintf(&b, "  %-7s  %-*s  want %s, got %s\n", c.Result, width, c.Name, orNothing(c.Want), orNothing(c.Got))
	}
	return b.String()
}

func orNothing(text string) string {
	if text == "" {
		return "nothing"
	}
	return text
}
