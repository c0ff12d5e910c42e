package sidecar

import (
	"net/url"
	"path"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/text/cases"
	"golang.org/x/text/language"
	"golang.org/x/text/unicode/norm"
)

// Each line has a path that all read in the same way, and one next to it that
// some service would take for another.
func TestPlainPath(t *testing.T) {
	for name, row := range map[string]struct{ good, decoded, bad string }{
		"root":             {"/", "/", ""},
		"absolute form":    {"/a", "/a", "http://example.com/a"},
		"asterisk":         {"/*", "/*", "*"},
		"query":            {"/a?b=/../c%2f", "/a", "?b"},
		"query, raw":       {"/a?b=%20", "/a", "/a?b= "},
		"fragment":         {"/a", "/a", "/a#b"},
		"dot":              {"/.a", "/.a", "/./a"},
		"two dots":         {"/..a", "/..a", "/../a"},
		"two dots, inside": {"/a/b..c", "/a/b..c", "/a/.."},
		"dot at the end":   {"/a.b", "/a.b", "/a."},
		"dots at the end":  {"/a", "/a", "/a/..."},
		"space around":     {"/a%20b", "/a b", "/a%20"},
		"space before":     {"/a%20b", "/a b", "/%C2%A0a"},
		"escaped dots":     {"/a/b", "/a/b", "/a/%2e%2e/b"},
		"half escaped":     {"/a/b", "/a/b", "/a/.%2E/b"},
		"two slashes":      {"/a/b/", "/a/b/", "/a//b"},
		"first slashes":    {"/a", "/a", "//a"},
		"last slashes":     {"/a/", "/a/", "/a//"},
		"escaped slash":    {"/a%20b", "/a b", "/a%2fb"},
		"backslash":        {"/a", "/a", `/a\b`},
		"escaped one":      {"/a", "/a", "/a%5Cb"},
		"twice escaped":    {"/a", "/a", "/a%252fb"},
		"percent":          {"/a", "/a", "/100%25"},
		"broken":           {"/%c3%a9", "/é", "/a%2"},
		"broken digits":    {"/%C3%A9", "/é", "/a%g0"},
		"needless":         {"/admin", "/admin", "/%61dmin"},
		"needless tilde":   {"/~a", "/~a", "/%7Ea"},
		"parameter":        {"/a:b@c,d+e", "/a:b@c,d+e", "/a;x=1/b"},
		"escaped one, too": {"/a%3Ab", "/a:b", "/a%3bx"},
		"escaped query":    {"/a%26b", "/a&b", "/a%3Fb"},
		"escaped fragment": {"/a%24b", "/a$b", "/a%23b"},
		"NUL":              {"/a", "/a", "/a%00"},
		"line":             {"/a", "/a", "/a%0d%0a"},
		"delete":           {"/a", "/a", "/a%7f"},
		"raw line":         {"/a", "/a", "/a\n"},
		"raw UTF-8":        {"/%C3%A9", "/é", "/é"},
		"overlong slash":   {"/%C3%A9", "/é", "/%C0%AF"},
		"Latin-1":          {"/%C3%A9", "/é", "/%E9"},
		"C1 control":       {"/%C3%A9", "/é", "/%C2%85"},
		"wide slash":       {"/%EF%BC%A1", "/Ａ", "/a%EF%BC%8Fb"},
		"wide dots":        {"/%EF%BC%A1", "/Ａ", "/a%E2%80%A5/b"},
		"wide question":    {"/%EF%BC%A1", "/Ａ", "/a%EF%BC%9Fb"},
		"fraction slash":   {"/%C2%BD", "/½", "/a%E2%81%84b"},
		"yen":              {"/%E2%82%AC", "/€", "/a%C2%A5b"},
		"account of":       {"/%E2%84%A2", "/™", "/%E2%84%80"},
		"right to left":    {"/%D7%90", "/א", "/%E2%80%AE"},
		"long":             {"/" + strings.Repeat("a", maxURI-1), "/" + strings.Repeat("a", maxURI-1), "/" + strings.Repeat("a", maxURI)},
	} {
		t.Run(name, func(t *testing.T) {
			_, decoded, problem := plainPath(row.good)
			assert.Empty(t, problem)
			assert.Equal(t, row.decoded, decoded)
			_, _, problem = plainPath(row.bad)
			assert.NotEmpty(t, problem, "%q", row.bad)
		})
	}
}

// Whatever a service does to a letter, it is the same letter to fold.
func TestFold(t *testing.T) {
	ways := map[string]func(string) string{
		"lower": strings.ToLower, "upper": strings.ToUpper, "title": strings.ToTitle,
		"full lower": cases.Lower(language.Und).String, "full upper": cases.Upper(language.Und).String, "folded": cases.Fold().String,
		"Turkish lower": cases.Lower(language.Turkish).String, "Turkish upper": cases.Upper(language.Turkish).String,
		"NFC": norm.NFC.String, "NFD": norm.NFD.String, "NFKC": norm.NFKC.String,
	}
	for r := range unicode.MaxRune + 1 {
		if !unicode.IsGraphic(r) || unicode.In(r, unicode.Han, unicode.Hangul) {
			continue // not in a path, or without case
		}
		s := string(r)
		for name, read := range ways {
			if other := read(s); other != s {
				require.Equal(t, fold(s), fold(other), "%q, %s", s, name)
			}
		}
		if r >= utf8.RuneSelf && strings.ContainsAny(fold(s), "/\\%;?#.") {
			require.True(t, readsAsSeparator(r), "%q", s)
		}
	}
}

// Which rule a path leads to, and where two rules could be meant.
func TestFind(t *testing.T) {
	table := tableOf(t, head+`
routes:
  - {name: list, methods: [GET], path: "/businesses/{b}/orders", business: {path: b}}
  - {name: create, methods: [POST], path: "/businesses/{b}/orders", business: {path: b}, businessRoles: [A]}
  - {name: own, methods: [GET], path: "/businesses/self/orders", authenticated: true}
  - {name: page, methods: [GET], path: "/{page}", public: true}
  - {name: admin, methods: [GET], path: "/admin", tenant: a}
  - {name: admin/, methods: [GET], path: "/admin/{rest...}", tenant: a}
  - {name: files, methods: [GET], path: "/files/{rest...}", tenant: a}
  - {name: files/, methods: [GET], path: "/files", tenant: a}
  - {name: files/x/, methods: [GET], path: "/files/x/{$}", tenant: a}
  - {name: any, methods: ["*"], path: "/hooks", public: true}
  - {name: hook, methods: [DELETE], path: "/hooks", tenant: a}
`)
	for request, want := range map[string]string{
		"GET /businesses/1/orders":     "list",
		"HEAD /businesses/1/orders":    "list",
		"POST /businesses/1/orders":    "create",
		"PUT /businesses/1/orders":     "refused", // and not the default
		"GET /businesses/self/orders":  "own",
		"POST /businesses/self/orders": "refused", // and not create
		"GET /businesses/Self/orders":  "ambiguous",
		"GET /businesses/1/orders/":    "ambiguous", // nothing, or list
		"GET /Businesses/1/orders":     "ambiguous",
		"GET /about":                   "page",
		"GET /about/":                  "ambiguous",
		"GET /admin":                   "admin",
		"GET /admin/":                  "admin/",
		"GET /ADMIN":                   "ambiguous", // page, or admin
		"GET /ADMIN/":                  "ambiguous",
		"GET /aDmin/users":             "ambiguous",
		"GET /adm%C4%B1n/users":        "ambiguous", // a dotless i: "ADMIN" in capitals
		"GET /adm%C4%B0n":              "ambiguous", // a dotted I
		"GET /admi%CC%87n":             "ambiguous", // an i with one more dot
		"GET /%EF%BD%81dmin":           "ambiguous", // a wide a
		"GET /%E2%93%90dmin":           "ambiguous", // an a in a circle
		"GET /%C3%A1dmin":              "ambiguous", // an accent
		"GET /admin%EF%B8%8F":          "ambiguous", // an invisible character
		"GET /%E2%84%AB":               "page",
		"GET /caf%C3%A9":               "page",
		"GET /admin/users":             "admin/",
		"GET /admin/Users/":            "admin/",
		"POST /admin/users":            "refused",
		"GET /files/x":                 "files", // and not a redirect
		"GET /files/x/":                "files/x/",
		"GET /files/x/y":               "files",
		"GET /files":                   "files/",
		"POST /hooks":                  "any",
		"DELETE /hooks":                "hook",
		"DELETE /hooks/":               "ambiguous",
		"HEAD /hooks":                  "any",
		"GET /a/b/c":                   "refused",
		"GET /":                        "refused",
	} {
		method, uri, _ := strings.Cut(request, " ")
		assert.Equal(t, want, ruleFor(t, table, method, uri), request)
	}
}

// The default is for paths that no route is for, and for nothing else.
func TestDefault(t *testing.T) {
	table := tableOf(t, head+`
default: {authTypes: [external]}
routes:
  - {name: list, methods: [GET], path: "/orders", tenant: a}
  - {name: list/, methods: [GET], path: "/orders/{$}", tenant: a}
`)
	for request, want := range map[string]string{
		"GET /orders":     "list",
		"GET /orders/":    "list/",
		"POST /orders":    "refused",
		"POST /orders/":   "refused",
		"GET /orders/1":   "default",
		"PATCH /orders/1": "default",
		"GET /ORDERS":     "ambiguous",
		"POST /Orders":    "ambiguous",
		"GET /":           "default",
	} {
		method, uri, _ := strings.Cut(request, " ")
		assert.Equal(t, want, ruleFor(t, table, method, uri), request)
	}
}

// A wildcard gives what the path says, decoded once, and as it was written.
func TestPathValues(t *testing.T) {
	for name, row := range map[string]struct{ pattern, uri, wildcard, want string }{
		"one":         {"/b/{business}/{rest...}", "/b/a%20b/c/d?e", "business", "a b"},
		"rest":        {"/b/{business}/{rest...}", "/b/a%20b/c%20/D?e", "rest", ""},
		"rest, good":  {"/b/{business}/{rest...}", "/b/a/c/D?e", "rest", "c/D"},
		"rest, none":  {"/b/{business}/{rest...}", "/b/a/", "rest", ""},
		"rest, slash": {"/b/{business}/{rest...}", "/b/a/c/", "rest", "c/"},
		"all":         {"/{rest...}", "/a/b", "rest", "a/b"},
		"capitals":    {"/{a}/x", "/Aé/x", "a", ""},
		"letters":     {"/{a}/x", "/A%C3%A9/x", "a", "Aé"},
		"last":        {"/x/{a}/{$}", "/x/Y/", "a", "Y"},
		"no such":     {"/{a}", "/x", "b", ""},
	} {
		var got string
		if _, decoded, problem := plainPath(row.uri); problem == "" {
			var l lookup
			l.set(decoded)
			got = value{path: row.wildcard}.in(row.pattern).of(&l)
		}
		assert.Equal(t, row.want, got, name)
	}
}

func tableOf(t testing.TB, config string) *table {
	t.Helper()
	s, err := parse("sidecar.yaml", []byte(config))
	require.NoError(t, err)
	return s.routes
}

// ruleFor is the name of the rule for a request, or what is done without one.
func ruleFor(t testing.TB, table *table, method, uri string) string {
	t.Helper()
	_, decoded, problem := plainPath(uri)
	if problem != "" {
		return "not plain"
	}
	var l lookup
	l.set(decoded)
	route, ok := table.find(&l, method)
	switch {
	case !ok:
		return "ambiguous"
	case route == nil:
		return "refused"
	}
	return route.name
}

// readings are what services make of a path, each one seen somewhere.
var readings = map[string]func(string) string{
	"as it is": func(p string) string { return p },
	"decoded": func(p string) string {
		if d, err := url.PathUnescape(p); err == nil {
			return d
		}
		return p
	},
	"cleaned":   path.Clean,
	"backslash": func(p string) string { return strings.ReplaceAll(p, `\`, "/") },
	"no parameters": func(p string) string {
		segments := strings.Split(p, "/")
		for i, segment := range segments {
			segments[i], _, _ = strings.Cut(segment, ";")
		}
		return strings.Join(segments, "/")
	},
	"no query":       func(p string) string { return p[:len(p)-len(p[strings.IndexAny(p+"?", "?#"):])] },
	"C string":       func(p string) string { p, _, _ = strings.Cut(p, "\x00"); return p },
	"trimmed":        strings.TrimSpace,
	"lower case":     strings.ToLower,
	"upper case":     strings.ToUpper,
	"Turkish":        func(p string) string { return strings.ToLowerSpecial(unicode.TurkishCase, p) },
	"Turkish, upper": func(p string) string { return strings.ToUpperSpecial(unicode.TurkishCase, p) },
	"normalised":     norm.NFKC.String,
	"no slash":       func(p string) string { return strings.TrimSuffix(p, "/") },
}

// Whatever a service makes of a path, by any three of its habits one after
// another: where it arrives at what only an admin may do, the sidecar asked for
// an admin, or refused.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{"/admin", "/admin/", "/ADMIN/x", "/x/../admin", "//admin", "/%61dmin", "/x%2f..%2fadmin", "/x/..;/admin",
		"/admin;a=b/x", `/x\..\admin`, "/admin%00x", "/admin%3Fx", "/x/%252e%252e/admin", "/./admin", "/admin%20", "/a/admin", "/K", "/%E2%84%AA", "/adm%C4%B1n", "/%EF%BD%81dmin", "/adm%C4%B0n/x"} {
		f.Add(seed)
	}
	table := tableOf(f, head+`
default: {authenticated: true}
routes:
  - {name: admin, methods: ["*"], path: "/admin", tenant: a}
  - {name: admin/, methods: ["*"], path: "/admin/{rest...}", tenant: a}
  - {name: page, methods: ["*"], path: "/{page}", public: true}
  - {name: page/, methods: ["*"], path: "/{page}/{rest...}", public: true}
`)
	f.Fuzz(func(t *testing.T, uri string) {
		switch ruleFor(t, table, "GET", uri) {
		case "admin", "admin/", "not plain", "ambiguous", "refused":
			return // as strict as can be
		}
		raw, _, _ := strings.Cut(uri, "?")
		for a, first := range readings {
			for b, second := range readings {
				for c, third := range readings {
					read := third(second(first(raw)))
					if top, _, _ := strings.Cut(strings.TrimPrefix(read, "/"), "/"); strings.EqualFold(top, "admin") {
						t.Fatalf("%q goes to %s, and is %q to who reads it %s, %s, %s", uri, ruleFor(t, table, "GET", uri), read, a, b, c)
					}
				}
			}
		}
	})
}
