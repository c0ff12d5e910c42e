package sidecar

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const head = "proxy: nginx\n"

// Both sides of every rule for a configuration: what is next to it and holds,
// and what does not.
func TestConfiguration(t *testing.T) {
	rule := func(text string) string {
		return head + "routes:\n  - {methods: [GET], path: \"/{x}\", " + text + "}\n"
	}
	pathOf := func(text string) string {
		return head + "routes:\n  - {methods: [GET], path: '" + text + "', authenticated: true}\n"
	}
	two := func(a, b string) string { return head + "routes:\n  - {" + a + "}\n  - {" + b + "}\n" }
	more := func(text string) string { return text + "\n" + pathOf("/") }
	for name, row := range map[string]struct {
		good, bad string
		says      string
	}{
		"proxy":              {pathOf("/"), "routes:\n  - {methods: [GET], path: /, public: true}\n", "proxy is missing: want caddy, envoy, nginx or traefik"},
		"unknown proxy":      {pathOf("/"), "proxy: haproxy\nroutes:\n  - {methods: [GET], path: /, public: true}\n", "proxy is haproxy"},
		"nothing":            {pathOf("/"), "", "empty"},
		"no routes":          {pathOf("/"), head, "routes: there are none"},
		"two documents":      {pathOf("/"), pathOf("/") + "---\n" + pathOf("/"), "more than one document"},
		"unknown field":      {rule("public: true"), rule("pubic: true"), "no field pubic here; did you mean public?"},
		"unknown, on top":    {more("logLevel: debug"), more("loglevel: debug"), "no field loglevel here; did you mean logLevel?"},
		"unknown default":    {more("default: {authenticated: true}"), more("default: {authentic: true}"), "no field authentic here; did you mean authenticated?"},
		"twice":              {rule("public: true"), rule("public: true, public: true"), "already defined"},
		"requires nothing":   {rule("authenticated: true"), rule("name: x"), "requires nothing"},
		"public: false":      {rule("public: true"), rule("public: false"), "requires nothing"},
		"public and more":    {rule("public: true"), rule("public: true, tenant: a"), "exclude each other"},
		"anyone and more":    {rule("authenticated: true"), rule("authenticated: true, tenant: a"), "exclude each other"},
		"public and anyone":  {rule("public: true"), rule("public: true, authenticated: true"), "exclude each other"},
		"empty value":        {rule("tenant: a"), rule("authTypes: [user], tenant: "), "tenant is empty"},
		"empty text":         {rule("tenant: a"), rule("authTypes: [user], tenant: ''"), "tenant is empty"},
		"empty list":         {rule("authTypes: [user]"), rule("tenant: a, authTypes: []"), "authTypes is empty"},
		"empty entry":        {rule("authTypes: [user]"), rule("authTypes: [user, '']"), "is empty"},
		"null entry":         {rule("authTypes: [user]"), rule("authTypes: [user, ~]"), "is empty"},
		"a number":           {rule("tenant: 17"), rule("tenant: [17]"), "want a text"},
		"wildcard":           {rule("tenant: {path: x}"), rule("tenant: {path: y}"), "no wildcard {y}"},
		"end of the path":    {pathOf("/a/{$}"), head + "routes:\n  - {methods: [GET], path: '/a/{$}', tenant: {path: $}}\n", "no wildcard {$}"},
		"other mapping":      {rule("tenant: {path: x}"), rule("tenant: {header: x}"), "want a text"},
		"business role":      {rule("business: {path: x}, businessRoles: [A]"), rule("businessRoles: [A]"), "roles in which business"},
		"tenant role":        {rule("tenant: a, tenantRoles: [A]"), rule("tenantRoles: [A]"), "roles in which tenant"},
		"both":               {rule("tenant: a, business: b"), rule("tenant: a, business: b, tenantRoles: [A]"), "exclude each other"},
		"methods":            {two("methods: ['*'], path: /, public: true", "methods: [GET], path: /a, public: true"), head + "routes:\n  - {path: /, public: true}\n", "methods are missing"},
		"method":             {rule("public: true"), two("methods: [get], path: /, public: true", "methods: [GET], path: /a, public: true"), "is not known"},
		"CONNECT":            {rule("public: true"), two("methods: [CONNECT], path: /, public: true", "methods: [GET], path: /a, public: true"), "is not known"},
		"method twice":       {two("methods: [GET], path: /a, public: true", "methods: [POST], path: /a, public: true"), two("methods: [GET], path: /a, public: true", "methods: [POST, GET], path: /a, public: true"), "a rule for GET already"},
		"path":               {pathOf("/a"), pathOf("a"), "begin with a slash"},
		"host":               {pathOf("/a"), pathOf("example.com/a"), "begin with a slash"},
		"dots":               {pathOf("/a.b"), pathOf("/a/../b"), "dot segments"},
		"slashes":            {pathOf("/a/b"), pathOf("/a//b"), "two slashes"},
		"escape":             {pathOf("/é"), pathOf("/%C3%A9"), "without escapes"},
		"semicolon":          {pathOf("/a:b"), pathOf("/a;b"), "no request with it"},
		"bad wildcard":       {pathOf("/{a}"), pathOf("/{a}b"), "bad wildcard segment"},
		"wildcard twice":     {pathOf("/{a}/{b}"), pathOf("/{a}/{a}"), "duplicate"},
		"overlap":            {two("methods: [GET], path: '/{a}/x', public: true", "methods: [GET], path: '/b/x', authenticated: true"), two("methods: [GET], path: '/{a}/x', public: true", "methods: [GET], path: '/b/{c}', authenticated: true"), "conflicts"},
		"case":               {two("methods: [GET], path: /a, public: true", "methods: [GET], path: /b, authenticated: true"), two("methods: [GET], path: /a, public: true", "methods: [GET], path: /A, authenticated: true"), "conflicts"},
		"slash at the end":   {two("methods: [GET], path: /a, authenticated: true", "methods: [GET], path: '/a/{x...}', authenticated: true"), two("methods: [GET], path: /a, authenticated: true", "methods: [GET], path: '/a/{x...}', public: true"), "with and without a slash"},
		"… named":            {head + "routes:\n  - {methods: [GET], path: /a, authenticated: true}\n  - {methods: [GET], path: '/a/{$}', authenticated: true}\n  - {methods: [GET], path: '/a/{x...}', public: true}\n", two("methods: [GET], path: '/a/{b}', authenticated: true", "methods: [GET], path: '/{x...}', public: true"), "with and without a slash"},
		"name twice":         {two("name: a, methods: [GET], path: /a, public: true", "name: b, methods: [GET], path: /b, public: true"), two("name: a, methods: [GET], path: /a, public: true", "name: a, methods: [GET], path: /b, public: true"), "name a is taken"},
		"name of ours":       {rule("name: nobody, public: true"), rule("name: none, public: true"), "name none is taken"},
		"name":               {rule("name: a b, public: true"), rule("name: \"a\\nb\", public: true"), "printable"},
		"default":            {more("default: deny"), more("default: allow"), "default is deny, or a rule"},
		"default of nought":  {more("default: {authTypes: [user]}"), more("default: {public: false}"), "requires nothing"},
		"default by path":    {more("default: {tenant: a}"), more("default: {tenant: {path: a}}"), "no wildcard"},
		"addr":               {more("addr: 127.0.0.1:80"), more("addr: 127.0.0.1"), "addr"},
		"port":               {more("metricsAddr: ':65535'"), more("metricsAddr: ':65536'"), "metricsAddr"},
		"prefix":             {"proxy: envoy\npathPrefix: /auth\nroutes:\n  - {methods: [GET], path: /, public: true}\n", more("pathPrefix: /auth"), "pathPrefix is for envoy"},
		"drain delay":        {more("drainDelay: 5m"), more("drainDelay: 6m"), "drainDelay is 6m"},
		"no drain delay":     {more("drainDelay: 1s"), more("drainDelay: -1s"), "above zero"},
		"log level":          {more("logLevel: debug"), more("logLevel: all"), "logLevel is all"},
		"connections":        {more("limits: {connections: 8}"), more("limits: {connections: 7}"), "limits.connections is 7"},
		"header bytes":       {more("limits: {headerBytes: 32768}"), more("limits: {headerBytes: 32767}"), "limits.headerBytes"},
		"revocation":         {more("pers: {revocation: 5m}"), more("pers: {revocation: sometimes}"), "pers.revocation is sometimes: want auto, off, always or a time above zero such as 5m"},
		"no time":            {more("pers: {timeout: 1s}"), more("pers: {timeout: 0s}"), "a time above zero"},
		"grace":              {more("pers: {revocation: 5m, revocationGrace: 1m}"), more("pers: {revocation: off, revocationGrace: 1m}"), "pers.revocation is off"},
		"proofs":             {more("dpop: {mode: bound}"), more("dpop: {mode: perhaps}"), "dpop.mode is perhaps"},
		"proxy, nearly":      {pathOf("/"), "proxy: ngnix\n" + "routes:\n  - {methods: [GET], path: /, public: true}\n", "did you mean nginx?"},
		"auth type":          {rule("authTypes: [tenant]"), rule("authTypes: [admin]"), "auth type is admin: want user, business, tenant, system or external; did you mean tenant?"},
		"auth type, nearly":  {rule("authTypes: [business]"), rule("authTypes: [user, Buisness]"), "did you mean business?"},
		"method, nearly":     {rule("public: true"), two("methods: [GTE], path: /, public: true", "methods: [GET], path: /a, public: true"), "method GTE is not known: want one of HTTP in capitals, or \"*\"; did you mean GET?"},
		"WebDAV":             {two("methods: [PROPFIND], path: /b, public: true", "methods: [GET], path: /a, public: true"), two("methods: [PROPFIMD], path: /, public: true", "methods: [GET], path: /a, public: true"), "did you mean PROPFIND?"},
		"variable":           {rule("tenant: a$b"), rule("tenant: '${TENANT}'"), "tenant is ${TENANT}: a variable that was not replaced"},
		"variable, shell":    {rule("tenant: $a-b"), rule("tenant: $TENANT"), "a variable that was not replaced"},
		"variable, Windows":  {rule("tenant: 100%"), rule("tenant: '%TENANT%'"), "a variable that was not replaced"},
		"variable, Helm":     {rule("tenant: 'a{b}'"), rule("tenant: '{{ .Values.tenant }}'"), "a variable that was not replaced"},
		"variable, doc":      {rule("tenant: a<b"), rule("tenant: <your tenant>"), "a variable that was not replaced"},
		"variable, inside":   {more("pers: {tenants: [a]}"), more("pers: {tenants: ['x-${TENANT}']}"), "tenants is x-${TENANT}"},
		"variable, key":      {pathOf("/a/{$}"), pathOf("/a/${x}"), "a variable that was not replaced"},
		"wildcard, nearly":   {rule("tenant: {path: x}"), head + "routes:\n  - {methods: [GET], path: '/{tenant}', tenant: {path: tennant}}\n", "did you mean tenant?"},
		"overlap, quoted":    {pathOf("/"), two("methods: [GET], path: '/Shop/{a}/X', public: true", "methods: [GET], path: '/Shop/B/{c}', authenticated: true"), "sidecar.yaml:4: path /Shop/B/{c} conflicts with /Shop/{a}/X (line 3)"},
		"case, quoted":       {pathOf("/"), two("methods: [GET], path: /Shop, public: true", "methods: [GET], path: /shop, authenticated: true"), "sidecar.yaml:4: path /shop conflicts with /Shop (line 3)"},
		"accent, quoted":     {pathOf("/"), two("methods: [GET], path: /café, public: true", "methods: [GET], path: /Cafe, authenticated: true"), "path /Cafe conflicts with /café (line 3)"},
		"case, later":        {pathOf("/"), two("methods: [GET], path: '/{a}/X', public: true", "methods: [GET], path: '/B/{c}', public: true"), "path /B/{c} conflicts with /{a}/X (line 3)"},
		"auth type, own":     {rule("authTypes: [partner]") + "pers: {authTypes: [partner, user]}\n", rule("authTypes: [partners]") + "pers: {authTypes: [partner, user]}\n", "did you mean partner?"},
		"auth type, evident": {rule("authTypes: [operator]") + "pers: {tenantEvidence: {authTypes: [operator]}}\n", rule("authTypes: [operator]"), "auth type is operator"},
		"accepted type":      {more("pers: {authTypes: [business, tenant]}"), more("pers: {authTypes: [business, Tenant]}"), "auth type is Tenant, which PERS has not; did you mean tenant?"},
		"accepted kind":      {more("pers: {tokenKinds: [TENANT_ADMIN_JWT]}"), more("pers: {tokenKinds: [TENANT_ADMIN]}"), "did you mean TENANT_ADMIN_JWT?"},
		"evidence":           {more("pers: {tenantEvidence: {authTypes: [system], tokenKinds: [TENANT_ADMIN_JWT]}}"), more("pers: {tenantEvidence: {tokenKinds: [TENNANT_ADMIN_JWT]}}"), "sidecar.yaml:1: token kind is TENNANT_ADMIN_JWT"},
		"instances":          {more("pers: {instances: 3}"), more("pers: {instances: -3}"), "pers.instances is negative"},
		"alias":              {more("pers: {issuer: a, audience: a}"), more("pers: {issuer: &a a, audience: *a}"), "aliases"},
		"JSON":               {`{"proxy":"nginx","routes":[{"methods":["GET"],"path":"/","public":true}]}`, `{"proxy":"nginx","routes":[{"methods":["GET"],"path":"/"}]}`, "requires nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse("sidecar.yaml", []byte(row.good))
			assert.NoError(t, err, "what holds")
			_, err = parse("sidecar.yaml", []byte(row.bad))
			assert.ErrorContains(t, err, row.says, "what does not")
		})
	}
}

// All that is wrong is said at once.
func TestAllFaults(t *testing.T) {
	_, err := parse("sidecar.yaml", []byte(`
proxy: apache
colour: red
pers: {revocation: never}
routes:
  - {methods: [GET], path: /a}
  - {methods: [GET], path: b, public: true}
  - {methods: [GET], path: /c, tenantRoles: [A], tenant: }
`))
	require.Error(t, err)
	for _, says := range []string{"sidecar.yaml:2: proxy is apache", "sidecar.yaml:3: there is no field colour", "sidecar.yaml:4: pers.revocation is never",
		"sidecar.yaml:6: requires nothing", "sidecar.yaml:7: path b", "sidecar.yaml:8: tenant is empty", "sidecar.yaml:8: tenantRoles"} {
		assert.ErrorContains(t, err, says)
	}
	assert.NotContains(t, err.Error(), "sidecar.r", "names of types are ours")
}

// Whatever the bytes: no panic, and a configuration that holds has a rule for
// every route.
func FuzzRoutes(f *testing.F) {
	f.Add([]byte(head + shopRoutes))
	f.Add([]byte(`{"proxy":"envoy","pathPrefix":"/x","default":{"authTypes":["user"]},"routes":[{"methods":["*"],"path":"/{a...}","tenant":{"path":"a"}}]}`))
	f.Add([]byte(head + "routes: &a\n  - {methods: [GET], path: /, <<: {public: true}}\n"))
	f.Add([]byte(head + "routes:\n  - {methods: [GET], path: '/a/{$}', business: {path: $}}\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := parse("sidecar.yaml", body)
		if err != nil {
			return
		}
		for _, c := range s.Routes {
			var f faults
			made := c.rule(&f, "", c.Path, s.PERS.AuthTypes)
			require.NoError(t, f.err(""))
			require.True(t, made.public == c.Public && (c.Public || c.Authenticated || len(made.requirements) > 0), "%+v requires nothing", c)
		}
	})
}
