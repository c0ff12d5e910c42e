package dpop

// Addresses, made comparable (RFC 3986 §6.2, RFC 9449 §4.3). Two that a server
// may take for different ones are never made equal: where that is in doubt, the
// address is refused. This is why url.Parse, which repairs, is not used.

import (
	"cmp"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
)

// Target returns the address that a proof for the request must name, in its
// normal form. The beginning comes from the Config, or from headers that the
// Config says to trust; the path from the request line, as the client sent it.
func (p *Checker) Target(r *http.Request) (string, error) {
	origin := p.cfg.Origin
	if p.cfg.TrustForwarded {
		proto, host := r.Header["X-Forwarded-Proto"], r.Header["X-Forwarded-Host"]
		ok := len(proto) == 1 && len(host) == 1
		if ok {
			origin, ok = normalOrigin(proto[0], host[0])
		}
		if !ok {
			return "", badProof("htu", "one X-Forwarded-Proto and one X-Forwarded-Host, each with one value", "other headers")
		}
	}
	if origin == "" {
		return "", errNoOrigin()
	}
	// Not the path of the URL where it can be helped: handlers around this one
	// may have changed it, as http.StripPrefix does.
	path, _, _ := strings.Cut(r.RequestURI, "?")
	if !strings.HasPrefix(path, "/") {
		path = cmp.Or(r.URL.RawPath, r.URL.EscapedPath())
	}
	return withPath(origin, path)
}

// TargetOf is target for an address that did not come with an *http.Request: a
// path, which belongs to the Origin of the Config, or an absolute URL.
func (p *Checker) TargetOf(address string) (string, error) {
	if p.cfg.Origin == "" && !p.cfg.TrustForwarded {
		return "", errNoOrigin()
	}
	address, _, _ = strings.Cut(address, "?")
	if strings.HasPrefix(address, "/") {
		if p.cfg.Origin == "" {
			return "", badProof("htu", "an absolute URL: a path alone needs Config.DPoP.Origin", "a path")
		}
		return withPath(p.cfg.Origin, address)
	}
	normal, ok := NormalURL(address)
	switch {
	case !ok || hasDotSegments(address):
		return "", badProof("htu", "an http or https URL without dot segments", "another address")
	case p.cfg.Origin != "" && normal != p.cfg.Origin && !strings.HasPrefix(normal, p.cfg.Origin+"/"):
		return "", badProof("htu", "a URL that begins with Config.DPoP.Origin", "another URL")
	}
	return normal, nil
}

func errNoOrigin() error {
	return &Error{Kind: NoAddress, Check: "binding", Want: "the address of this service, to check a proof: set Config.DPoP.Origin", Got: "none"}
}

func withPath(origin, path string) (string, error) {
	normal, ok := normalPath(path)
	if !ok || hasDotSegments(path) {
		// Some routers resolve these, some do not, and some redirect.
		return "", badProof("htu", "a path without dot segments", "one with them, or one that can be read in two ways")
	}
	return origin + normal, nil
}

// NormalURL returns an http or https address in its one normal form, without
// query and fragment. It reports false for what is not such an address, has a
// user name in it, or could be read in two ways.
func NormalURL(address string) (string, bool) {
	if i := strings.IndexAny(address, "?#"); i >= 0 {
		address = address[:i]
	}
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		return "", false
	}
	authority, path := rest, ""
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	origin, ok := normalOrigin(scheme, authority)
	if !ok {
		return "", false
	}
	path, ok = normalPath(path)
	return origin + path, ok
}

// normalOrigin returns scheme and authority in lower case, without a port that
// is the scheme's own (RFC 3986 §6.2.2.1, §6.2.3).
func normalOrigin(scheme, authority string) (string, bool) {
	host, port := authority, ""
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') {
		host, port = authority[:i], authority[i+1:]
	}
	scheme = strings.ToLower(scheme)
	switch {
	case scheme != "https" && scheme != "http" || len(port) > 5 || strings.Trim(port, "0123456789") != "":
		return "", false
	case scheme == "https" && port == "443" || scheme == "http" && port == "80":
		port = ""
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, closed := strings.CutSuffix(inner, "]")
		ip, err := netip.ParseAddr(inner)
		if !closed || err != nil || !ip.Is6() || ip.Zone() != "" {
			return "", false
		}
		host = "[" + ip.String() + "]"
	} else {
		// ASCII only: lower case in Unicode makes one host of two.
		for i := range len(host) {
			if !unreserved(host[i]) {
				return "", false
			}
		}
		host = strings.ToLower(host)
	}
	if host == "" {
		return "", false
	}
	if port != "" {
		host += ":" + port
	}
	return scheme + "://" + host, true
}

// normalPath writes what needs no escape without one, the other escapes in
// capitals, and resolves dot segments (RFC 3986 §6.2.2).
func normalPath(path string) (string, bool) {
	if path == "" {
		return "/", true
	}
	if path[0] != '/' {
		return "", false
	}
	if plainPath(path) {
		return path, true
	}
	if strings.ContainsFunc(path, needsEscape) && strings.Contains(strings.ToUpper(path), "%2F") {
		return "", false // net/http escapes such a path again, and takes %2F for a slash
	}
	var kept []string
	segments := strings.Split(path[1:], "/")
	for i, raw := range segments {
		segment, ok := normalSegment(raw)
		switch {
		case !ok:
			return "", false
		case segment != "." && segment != "..":
			kept = append(kept, segment)
			continue
		case segment != raw:
			// To net/http "%2e%2e" is a name, and to others it is the folder above.
			return "", false
		}
		if last := len(kept) - 1; segment == ".." && last >= 0 {
			if kept[last] == "" {
				// What is above "a//"? RFC 3986 says "a/", net/http the root.
				return "", false
			}
			kept = kept[:last]
		}
		if i == len(segments)-1 {
			kept = append(kept, "")
		}
	}
	return "/" + strings.Join(kept, "/"), true
}

// normalSegment normalises the escapes of a part of a path.
func normalSegment(raw string) (string, bool) {
	const digits = "0123456789ABCDEF"
	b := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		c, escaped := raw[i], false
		if c == '%' {
			if i+2 >= len(raw) {
				return "", false
			}
			decoded, err := strconv.ParseUint(raw[i+1:i+3], 16, 8)
			if err != nil {
				return "", false
			}
			c, escaped = byte(decoded), true
			i += 2
		} else if c <= ' ' || c == 0x7f {
			return "", false
		}
		if unreserved(c) || !escaped && pathByte(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', digits[c>>4], digits[c&15])
		}
	}
	return string(b), true
}

// plainPath reports whether a path is what nearly all are: normal already.
func plainPath(path string) bool {
	for i := range len(path) {
		if c := path[i]; c != '/' && !unreserved(c) && !pathByte(c) || c == '.' && path[i-1] == '/' {
			return false
		}
	}
	return true
}

// needsEscape characters may not stand in a path as they are.
func needsEscape(c rune) bool {
	return c != '/' && c != '%' && (c >= 0x80 || !unreserved(byte(c)) && !pathByte(byte(c)))
}

func hasDotSegments(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

// unreserved characters mean the same with an escape and without (RFC 3986 §2.3).
func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

// pathByte characters may stand in a path, and mean something else with an
// escape than without (RFC 3986 §3.3).
func pathByte(c byte) bool { return strings.IndexByte("!$&'()*+,;=:@", c) >= 0 }
