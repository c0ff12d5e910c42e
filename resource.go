package persauth

// Protected resource metadata (RFC 9728): what a client that knows the service alone
// needs to know to get a token for it, such as one of MCP.

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
)

// resourcePath is where the metadata is, in front of the path of the resource (RFC
// 9728 §3).
const resourcePath = "/.well-known/oauth-protected-resource"

// ProtectedResource describes the service to clients that look for how to get a token
// (RFC 9728). Its zero value describes nothing. Nothing of it is checked in tokens.
type ProtectedResource struct {
	// Identifier is the address that clients know the service by (§1.2), as in
	// "https://api.example.com" or "https://api.example.com/shop", without query and
	// fragment. Plain http is taken for loopback addresses only.
	Identifier string
	// AuthorizationServers are the issuer identifiers (RFC 8414 §2) of those that
	// hand out tokens for the service. Empty: [Config.Issuer], where it is an https
	// URL.
	AuthorizationServers []string
	// Scopes are the values of "scope" that clients may ask for. They may be left
	// out.
	Scopes []string
	// Name is what a person calls the service, and Documentation the https address
	// of a page for developers. Both may be empty.
	Name, Documentation string
}

// resourceMetadata is the document (§2).
type resourceMetadata struct {
	Resource             string   `json:"resource"`
	AuthorizationServers []string `json:"authorization_servers,omitempty"`
	Scopes               []string `json:"scopes_supported,omitempty"`
	BearerMethods        []string `json:"bearer_methods_supported"`
	Name                 string   `json:"resource_name,omitempty"`
	Documentation        string   `json:"resource_documentation,omitempty"`
	DPoPAlgorithms       []string `json:"dpop_signing_alg_values_supported,omitempty"`
	DPoPRequired         bool     `json:"dpop_bound_access_tokens_required,omitzero"`
}

// describedResource is what a verifier keeps of a ProtectedResource.
type describedResource struct {
	path      string // of the document
	document  []byte
	parameter string // of challenges (§5.1)
}

// ResourceMetadata returns the pattern and the handler of the document that describes
// the service to clients (RFC 9728 §3), for [http.ServeMux.Handle], outside of the
// middleware: it is public. Where [Config.Resource] is not set, there is none, and the
// handler answers 404.
//
//	mux.Handle(verifier.ResourceMetadata())
func (v *Verifier) ResourceMetadata() (pattern string, handler http.Handler) {
	if v.resource == nil {
		return "GET " + resourcePath, http.NotFoundHandler()
	}
	return "GET " + v.resource.path, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Cache-Control", "public, max-age=3600")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Access-Control-Allow-Origin", "*") // clients in browsers read it, too; it is public
		_, _ = w.Write(v.resource.document)
	})
}

// resource checks Config.Resource, and makes the document of it. It returns nil where
// nothing is described.
func (c *Config) resource(p *proofs) (*describedResource, error) {
	r := c.Resource
	if r.Identifier == "" {
		if len(r.AuthorizationServers) > 0 || len(r.Scopes) > 0 || r.Name != "" || r.Documentation != "" {
			return nil, errors.New("the Resource is set up in part: it needs Identifier")
		}
		return nil, nil
	}
	var wrong []error
	u := describedURL(r.Identifier)
	if u == nil {
		wrong = append(wrong, errors.New("Resource.Identifier must be of the form https://host or https://host/path"))
	}
	servers := slices.Clone(r.AuthorizationServers)
	if issuer := describedURL(c.Issuer); len(servers) == 0 && issuer != nil {
		servers = []string{c.Issuer}
	}
	for i, server := range servers {
		if describedURL(server) == nil {
			wrong = append(wrong, fmt.Errorf("Resource.AuthorizationServers[%d] must be of the form https://host or https://host/path", i))
		}
	}
	if r.Documentation != "" && describedURL(r.Documentation) == nil {
		wrong = append(wrong, errors.New("Resource.Documentation must be of the form https://host/path"))
	}
	if wrong != nil {
		return nil, errors.Join(wrong...)
	}
	document, err := json.Marshal(resourceMetadata{
		Resource: r.Identifier, AuthorizationServers: servers, Scopes: r.Scopes, Name: r.Name, Documentation: r.Documentation,
		BearerMethods: c.bearerMethods(), DPoPAlgorithms: strings.Fields(p.algs), DPoPRequired: p.mode == DPoPRequired})
	if err != nil {
		return nil, errors.New("the Resource has text that is not UTF-8")
	}
	path := resourcePath + strings.TrimSuffix(u.EscapedPath(), "/")
	address := url.URL{Scheme: u.Scheme, Host: u.Host}
	return &describedResource{path, document, `, resource_metadata="` + address.String() + path + `"`}, nil
}

// bearerMethods are the ways of RFC 6750 §2 in which the service takes tokens: the
// Authorization header, or none of them.
func (c *Config) bearerMethods() []string {
	for _, source := range c.TokenSources {
		if source.name == AuthorizationHeader().name {
			return []string{"header"}
		}
	}
	return []string{}
}

// describedURL parses an address that clients are told, or returns nil: for https, or
// http at a loopback address, without user, query and fragment, and fit for a quoted
// string (RFC 9110 §5.6.4).
func describedURL(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.ContainsAny(s, "#\"\\{}") ||
		strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return nil
	}
	host, err := netip.ParseAddr(u.Hostname())
	loopback := u.Hostname() == "localhost" || err == nil && host.IsLoopback()
	if u.Scheme == "https" || u.Scheme == "http" && loopback {
		return u
	}
	return nil
}
