package persauth

// What a service expects of proofs (RFC 9449).

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// DPoPMode says which tokens need a proof.
type DPoPMode int

const (
	// DPoPWhenBound asks for a proof for tokens that are bound to a key.
	DPoPWhenBound DPoPMode = iota
	// DPoPRequired also refuses tokens that are not bound to a key.
	DPoPRequired
	// DPoPOff refuses tokens that are bound to a key: nothing here checks
	// proofs, and without one such a token must not be accepted.
	DPoPOff
)

// DPoP configures the check of proofs (RFC 9449). Its zero value asks for a proof
// where a token is bound. To check one, Origin or TrustForwarded must be set;
// without them tokens that are bound are refused.
type DPoP struct {
	// Mode says which tokens need a proof.
	Mode DPoPMode
	// Origin is the address that clients know the service by, as in
	// "https://api.example.com". A proof is for one address (§4.3), and the
	// Host header, which anybody can set, does not say which. Where a proxy
	// takes away the beginning of the path, that is part of it:
	// "https://example.com/api".
	Origin string
	// TrustForwarded takes the address from the headers X-Forwarded-Proto and
	// X-Forwarded-Host in place of Origin. Set it only behind a proxy that
	// overwrites both, the second one with a name that it serves and not with
	// whatever Host a client sent, and that no client can go around.
	TrustForwarded bool
	// Algorithms are the values of "alg" that proofs may have. Empty: all ten
	// that are the default of [Config.Algorithms], and Ed25519, the name of RFC
	// 9864 for EdDSA. What PERS signs with does not matter here.
	Algorithms []string
	// MaxAge is how old a proof may be by its "iat". Default 60 s, at most
	// 10 min. It may also be ahead by [Config.Leeway].
	MaxAge time.Duration
	// NonceSecret, of at least 32 bytes and the same on all instances, makes
	// the service ask for nonces (§9) that are at most 10 minutes old. Empty:
	// none are asked for.
	NonceSecret []byte
	// Replays remembers the proofs that were used. nil: in memory, for one
	// instance.
	Replays ReplayStore
	// MaxReplays bounds that memory. Default 100,000, of about 50 bytes each. A
	// proof is kept for MaxAge and twice the leeway at most: two minutes by
	// default, so this is enough for 800 requests a second. Where it is full,
	// proofs are refused with ErrUnavailable. One subject (tenant and "sub") has
	// at most a sixteenth of it, 50 requests a second by default, and is refused
	// alone beyond that.
	MaxReplays int
}

// proofAlgorithms are the algorithms of proofs. Clients have begun to use the
// name of RFC 9864 §2.2.
var proofAlgorithms = func() map[string]*algorithm {
	all := maps.Clone(algorithms)
	all["Ed25519"] = algorithms["EdDSA"]
	return all
}()

var proofAlgorithmNames = append(slices.Clone(algorithmNames), "Ed25519")

// proofs checks and completes the part of the Config that is about proofs.
func (c *Config) proofs(clocks *clock) (*proofs, error) {
	d := c.DPoP
	var wrong []error
	fail := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	p := &proofs{leeway: c.Leeway, now: c.Now, keys: newBounded[*proofKey](rememberedProofKeys)}
	if d.Mode < DPoPWhenBound || d.Mode > DPoPOff {
		fail("DPoP.Mode is none of the modes")
	}
	addressed := d.Origin != "" || d.TrustForwarded
	switch {
	case addressed || d.Mode == DPoPOff:
	case d.Mode == DPoPRequired:
		fail("DPoP is required: that needs DPoP.Origin or DPoP.TrustForwarded")
	case len(d.Algorithms) > 0 || d.MaxAge != 0 || len(d.NonceSecret) > 0 || d.Replays != nil || d.MaxReplays != 0:
		fail("DPoP is set up in part: to check proofs it needs Origin or TrustForwarded")
	}
	if d.Origin != "" {
		origin, ok := normalURL(d.Origin)
		if !ok || strings.ContainsAny(d.Origin, "?#") {
			fail("DPoP.Origin must be of the form https://host or https://host/path")
		}
		if d.TrustForwarded {
			fail("DPoP has both Origin and TrustForwarded: only one can say what the address is")
		}
		p.origin = strings.TrimSuffix(origin, "/")
	}
	p.algorithms = slices.Clone(d.Algorithms)
	if len(p.algorithms) == 0 {
		p.algorithms = proofAlgorithmNames
	}
	for _, alg := range p.algorithms {
		if proofAlgorithms[alg] == nil {
			fail("DPoP.Algorithms has %s, which is not one of %v", quoted(alg), proofAlgorithmNames)
		}
	}
	if addressed && d.Mode != DPoPOff {
		p.algs = strings.Join(p.algorithms, " ")
	}
	if d.MaxAge == 0 {
		d.MaxAge = defaultMaxAge
	}
	if d.MaxAge < time.Second || d.MaxAge > longestMaxAge {
		fail("DPoP.MaxAge is %v, not between 1s and %v", d.MaxAge, longestMaxAge)
	}
	if len(d.NonceSecret) > 0 {
		if len(d.NonceSecret) < 32 {
			fail("DPoP.NonceSecret has less than 32 bytes")
		}
		p.nonces = &nonces{secret: slices.Clone(d.NonceSecret)}
	}
	if d.MaxReplays < 0 {
		fail("DPoP.MaxReplays is negative")
	}
	if d.Replays == nil {
		if d.MaxReplays == 0 {
			d.MaxReplays = 100_000
		}
		d.Replays = newMemoryReplays(d.MaxReplays, d.MaxAge+2*c.Leeway, clocks)
	} else if d.MaxReplays != 0 {
		fail("DPoP.MaxReplays bounds the memory of one instance, and DPoP.Replays takes its place")
	}
	p.cfg = d
	return p, errors.Join(wrong...)
}
