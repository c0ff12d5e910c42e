package persauth_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/persauth/persauth"
	"github.com/stretchr/testify/require"
)

// Whatever the header says, claims come only of the scheme, spaces, and the one
// good token; never where there is a second header; and no error repeats it.
func FuzzAuthorization(f *testing.F) {
	v := offline(f)
	good := exampleToken(3)
	for _, value := range []string{
		"", "Bearer", "Bearer ", "Bearer " + good, "bEARER  " + good, "DPoP " + good, "Basic eDp5", good,
		"Bearer " + good + ", Bearer " + good, "Bearer\t" + good, "Bearer " + good + " ", " Bearer " + good,
	} {
		f.Add(value, "", false)
		f.Add(value, "Bearer "+good, true)
	}
	f.Fuzz(func(t *testing.T, value, second string, two bool) {
		r := newRequest(http.MethodGet, "/")
		r.Header["Authorization"] = []string{value}
		if two {
			r.Header["Authorization"] = append(r.Header["Authorization"], second)
		}
		claims, err := v.VerifyRequest(r)
		scheme, token, _ := strings.Cut(value, " ")
		want := !two && strings.EqualFold(scheme, "Bearer") && strings.TrimLeft(token, " ") == good
		require.Equal(t, want, err == nil)
		require.Equal(t, err == nil, claims != nil)
		if err != nil {
			require.NotEqual(t, "internal", persauth.Code(err))
			require.NotContains(t, err.Error(), good)
		}
	})
}
