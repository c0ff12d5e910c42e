package persauth

// Addresses, made comparable (RFC 3986 §6.2, RFC 9449 §4.3).

import (
	"net/http"
	"net/url"
	"strings"
)

// target returns the address that a proof for the request must name. It comes
// from the Config, or from headers that the Config says to trust, and for the
// rest from the request line.
func (p *proofs) target(r *http.Request) (string, error) {
	origin := p.origin
	if p.cfg.TrustForwarded {
		proto, host := r.Header.Values("X-Forwarded-Proto"), r.Header.Values("X-Forwarded-Host")
		if len(proto) != 1 || len(host) != 1 || strings.ContainsAny(proto[0]+host[0], ", /@") {
			return "", badProof("htu", "one X-Forwarded-Proto and one X-Forwarded-Host", "another number of them")
		}
		origin = proto[0] + "://" + host[0]
	}
	if origin == "" {
		return "", badProof("htu", "a service that knows its own address: set Config.DPoP.Origin", "none")
	}
	return origin + r.URL.EscapedPath(), nil
}

// sameURL reports whether two addresses are the same but for query and fragment.
func sameURL(a, b string) bool {
	if a == b && a != "" && !strings.ContainsAny(a, "?#%") {
		_, ok := normalURL(a)
		return ok
	}
	na, okA := normalURL(a)
	nb, okB := normalURL(b)
	return okA && okB && na == nb
}

// normalURL returns an http or https address in its one normal form (RFC 3986
// §6.2.2, §6.2.3), without query and fragment. It reports false for what is not
// such an address, or has a user name in it.
func normalURL(address string) (string, bool) {
	address, _, _ = strings.Cut(address, "#")
	address, _, _ = strings.Cut(address, "?")
	u, err := url.Parse(address)
	if err != nil || u.Opaque != "" || u.User != nil || u.Hostname() == "" {
		return "", false
	}
	scheme, host, port := strings.ToLower(u.Scheme), strings.ToLower(u.Hostname()), u.Port()
	switch {
	case scheme != "https" && scheme != "http":
		return "", false
	case scheme == "https" && port == "443" || scheme == "http" && port == "80":
		port = ""
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port != "" {
		host += ":" + port
	}
	return scheme + "://" + host + normalPath(u.EscapedPath()), true
}

// normalPath decodes what needs no escape, writes the other escapes in capitals,
// and resolves dot segments (RFC 3986 §5.2.4).
func normalPath(path string) string {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] != '%' || i+2 >= len(path) {
			b.WriteByte(path[i])
			continue
		}
		decoded, err := url.PathUnescape(path[i : i+3])
		if err == nil && unreserved(decoded[0]) {
			b.WriteString(decoded)
		} else {
			b.WriteString(strings.ToUpper(path[i : i+3]))
		}
		i += 2
	}
	var kept []string
	segments := strings.Split(strings.TrimPrefix(b.String(), "/"), "/")
	for i, segment := range segments {
		switch segment {
		case ".", "..":
			if segment == ".." && len(kept) > 0 {
				kept = kept[:len(kept)-1]
			}
			if i == len(segments)-1 {
				kept = append(kept, "")
			}
		default:
			kept = append(kept, segment)
		}
	}
	return "/" + strings.Join(kept, "/")
}

// unreserved characters mean the same with an escape and without (RFC 3986 §2.3).
func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0
}
