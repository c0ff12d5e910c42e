package dpop_test

// Addresses: which are the same, and which a server may take for two.

import (
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/persauth/persauth/internal/dpop"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNormalURL(t *testing.T) {
	for _, c := range []struct{ name, address, want string }{ // want "": refused
		{"normal", "https://api.example.com/orders", "https://api.example.com/orders"},
		{"no path", "https://api.example.com", "https://api.example.com/"},
		{"query and fragment", "https://api.example.com/a?b=c/d#e", "https://api.example.com/a"},
		{"fragment before query", "https://api.example.com/a#b?c", "https://api.example.com/a"},
		{"query at once", "https://api.example.com?x", "https://api.example.com/"},
		{"upper case", "HTTPS://API.Example.COM/Orders", "https://api.example.com/Orders"},
		{"the usual port", "https://api.example.com:443/", "https://api.example.com/"},
		{"the usual port of http", "http://api.example.com:80/", "http://api.example.com/"},
		{"an empty port", "https://api.example.com:/", "https://api.example.com/"},
		{"another port", "https://api.example.com:8443/", "https://api.example.com:8443/"},
		{"the port of the other scheme", "https://api.example.com:80/", "https://api.example.com:80/"},
		{"a port with a zero", "https://api.example.com:0443/", "https://api.example.com:0443/"},
		{"a dot at the end is another name", "https://api.example.com./", "https://api.example.com./"},
		{"IPv4", "http://127.0.0.1:8080/x", "http://127.0.0.1:8080/x"},
		{"IPv6", "http://[::1]:8080/x", "http://[::1]:8080/x"},
		{"IPv6, written out", "https://[2001:DB8:0:0:0:0:0:1]:443", "https://[2001:db8::1]/"},
		{"escapes that need not be", "https://h/%7Euser/%61%2db", "https://h/~user/a-b"},
		{"escapes in small letters", "https://h/a%2fb%c3%a9", "https://h/a%2Fb%C3%A9"},
		{"an escaped slash is none", "https://h/a%2Fb", "https://h/a%2Fb"},
		{"a slash", "https://h/a/b", "https://h/a/b"},
		{"an escaped percent sign", "https://h/a%252Fb", "https://h/a%252Fb"},
		{"an escaped question mark", "https://h/a%3Fb", "https://h/a%3Fb"},
		{"bytes that need an escape", "https://h/é|\"\\", "https://h/%C3%A9%7C%22%5C"},
		{"what may stand in a path", "https://h/a;b=c,d:e@f!$&'()*+", "https://h/a;b=c,d:e@f!$&'()*+"},
		{"an escape of these means something else", "https://h/a%3Bb", "https://h/a%3Bb"},
		{"two slashes", "https://h//a//b/", "https://h//a//b/"},
		{"a slash at the end", "https://h/a/", "https://h/a/"},
		{"dot segments", "https://h/a/./b/../c", "https://h/a/c"},
		{"dot segments at the end", "https://h/a/b/..", "https://h/a/"},
		{"one dot at the end", "https://h/a/.", "https://h/a/"},
		{"above the root", "https://h/../../a", "https://h/a"},
		{"names with dots", "https://h/.well-known/..a/b..", "https://h/.well-known/..a/b.."},

		{"empty", "", ""},
		{"no scheme", "api.example.com/orders", ""},
		{"no authority", "https:/orders", ""},
		{"no host", "https:///orders", ""},
		{"a port alone", "https://:443/", ""},
		{"another scheme", "ftp://api.example.com/", ""},
		{"a scheme that folds", "httpſ://api.example.com/", ""},
		{"a user", "https://user@api.example.com/", ""},
		{"a user and a password", "https://user:pass@api.example.com/", ""},
		{"a host that looks like a user", `https://good.example\@evil.example/`, ""},
		{"a host that folds", "https://ban\u212a.example/", ""},
		{"a host that is not ASCII", "https://bücher.example/", ""},
		{"an escape in the host", "https://ex%61mple.com/", ""},
		{"a space", "https://h/a b", ""},
		{"a line break", "https://h/a\nb", ""},
		{"a NUL", "https://h/a\x00b", ""},
		{"a port that is a word", "https://h:https/", ""},
		{"a port with a sign", "https://h:+443/", ""},
		{"a long port", "https://h:000443/", ""},
		{"IPv6 with a zone", "https://[fe80::1%25eth0]/", ""},
		{"IPv4 in brackets", "https://[127.0.0.1]/", ""},
		{"a bracket left open", "https://[::1/", ""},
		{"a name in brackets", "https://[h]/", ""},
		{"IPv6 without brackets", "https://::1/", ""},
		{"an escape cut short", "https://h/a%2", ""},
		{"an escape of no digits", "https://h/a%zz", ""},
		{"dot segments in disguise", "https://h/a/%2e%2e/b", ""},
		{"half in disguise", "https://h/a/.%2E/b", ""},
		{"one dot in disguise", "https://h/a/%2e/b", ""},
		{"an escaped slash beside a byte that needs an escape", `https://h/a%2fb"`, ""},
		{"above two slashes", "https://h/a//../b", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := dpop.NormalURL(c.address)
			assert.Equal(t, c.want != "", ok)
			if ok {
				assert.Equal(t, c.want, got)
			}
		})
	}
}

// route is what net/http makes of a path: the names between the slashes, or the
// path that it redirects to.
func route(t *testing.T, address string) []string {
	t.Helper()
	address, _, _ = strings.Cut(address, "#")
	address, _, _ = strings.Cut(address, "?")
	_, rest, _ := strings.Cut(address, "://")
	_, rest, _ = strings.Cut(rest, "/")
	u, err := url.ParseRequestURI("/" + rest)
	if err != nil {
		t.Skip("not a request that net/http would take")
	}
	names := strings.Split(path.Clean(u.EscapedPath()), "/")
	for i, name := range names {
		names[i], err = url.PathUnescape(name)
		require.NoError(t, err)
	}
	return names
}

// A normal form is its own, keeps the origin, has no query, and does not make
// one address of two that net/http would bring to different handlers.
func FuzzHTU(f *testing.F) {
	for _, address := range []string{
		"https://api.example.com/orders", "HTTPS://H:443/%7e/./a/../b?c#d", "http://[::1]:80//a//", "https://h/%2e%2e/a",
		"https://h/a%2Fb", "https://h/a//../b", "https://ban\u212a/", `https://h\@g/`, "https://h/é", "https://h?x/y", `https://h/a%2Fb"`,
	} {
		f.Add(address)
	}
	f.Fuzz(func(t *testing.T, address string) {
		normal, ok := dpop.NormalURL(address)
		if !ok {
			return
		}
		again, ok := dpop.NormalURL(normal)
		require.True(t, ok)
		require.Equal(t, normal, again, "normal forms are normal")
		require.NotContains(t, normal, "?")
		require.NotContains(t, normal, "#")
		for i := range len(normal) {
			require.True(t, normal[i] > ' ' && normal[i] < 0x7f, "plain ASCII")
		}
		u, err := url.Parse(normal)
		require.NoError(t, err, "url.Parse understands it")
		require.Nil(t, u.User)
		require.NotEmpty(t, u.Host)
		if parsed, err := url.Parse(address); err == nil && !strings.ContainsAny(address, "\\") {
			require.Equal(t, strings.ToLower(parsed.Scheme), u.Scheme)
			if !strings.Contains(parsed.Host, ":") {
				require.Equal(t, strings.ToLower(parsed.Host), u.Host)
			}
		}
		require.Equal(t, route(t, normal), route(t, address), "it leads to the same handler")
	})
}
