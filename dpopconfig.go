package persauth

// What a service expects of proofs (RFC 9449).

import (
	"errors"
	"fmt"
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
// where a token is bound, and then needs Origin or TrustForwarded.
type DPoP struct {
	// Mode says which tokens need a proof.
	Mode DPoPMode
	// Origin is the address that clients know the service by, as in
	// "https://api.example.com" or "https://example.com/api": a proof is for
	// one address (§4.3). It is never taken from the Host header, which
	// a thief of proofs could set.
	Origin string
	// TrustForwarded takes the address from the headers X-Forwarded-Proto and
	// X-Forwarded-Host in place of Origin. Set it only behind a proxy that
	// overwrites both, and that no client can go around.
	TrustForwarded bool
	// Algorithms are the values of "alg" that proofs may have. Empty: those
	// of [Config.Algorithms].
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
	// MaxReplays bounds that memory. Where it is full, proofs are refused
	// with ErrUnavailable. Default 100,000.
	MaxReplays int
}

// proofs checks and completes the part of the Config that is about proofs.
func (c *Config) proofs() (*proofs, error) {
	d := c.DPoP
	var wrong []error
	p := &proofs{algorithms: c.Algorithms, leeway: c.Leeway, now: c.Now, keys: newBounded[*proofKey](rememberedProofKeys)}
	if len(d.Algorithms) > 0 {
		p.algorithms = d.Algorithms
	}
	for _, alg := range d.Algorithms {
		if algorithms[alg] == nil {
			wrong = append(wrong, fmt.Errorf("DPoP.Algorithms has %s, which is not one of %v", quoted(alg), algorithmNames))
		}
	}
	if d.MaxAge == 0 {
		d.MaxAge = defaultMaxAge
	}
	if d.MaxAge < time.Second || d.MaxAge > longestMaxAge {
		wrong = append(wrong, fmt.Errorf("DPoP.MaxAge is %v, not between 1s and %v", d.MaxAge, longestMaxAge))
	}
	if d.Origin != "" {
		origin, ok := normalURL(d.Origin)
		if !ok || strings.ContainsAny(d.Origin, "?#") {
			wrong = append(wrong, errors.New("DPoP.Origin must be of the form https://host or https://host/path"))
		}
		if d.TrustForwarded {
			wrong = append(wrong, errors.New("DPoP has both Origin and TrustForwarded: only one can say what the address is"))
		}
		p.origin = strings.TrimSuffix(origin, "/")
	}
	if d.Mode == DPoPRequired && d.Origin == "" && !d.TrustForwarded {
		wrong = append(wrong, errors.New("DPoP is required: that needs DPoP.Origin or DPoP.TrustForwarded"))
	}
	if d.Mode < DPoPWhenBound || d.Mode > DPoPOff {
		wrong = append(wrong, errors.New("DPoP.Mode is none of the modes"))
	}
	if len(d.NonceSecret) > 0 {
		if len(d.NonceSecret) < 32 {
			wrong = append(wrong, errors.New("DPoP.NonceSecret has less than 32 bytes"))
		}
		p.nonces = &nonces{slices.Clone(d.NonceSecret)}
	}
	if d.MaxReplays < 0 {
		wrong = append(wrong, errors.New("DPoP.MaxReplays is negative"))
	}
	if d.Replays == nil {
		if d.MaxReplays == 0 {
			d.MaxReplays = 100_000
		}
		d.Replays = newMemoryReplays(d.MaxReplays, c.Now)
	}
	p.cfg = d
	return p, errors.Join(wrong...)
}
