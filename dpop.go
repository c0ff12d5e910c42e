package persauth

// DPoP (RFC 9449): what a service expects of tokens that are bound to a key, and of
// their proofs. How a proof is checked is in internal/dpop.

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/persauth/persauth/internal/clock"
	"github.com/persauth/persauth/internal/dpop"
	"github.com/persauth/persauth/internal/redact"
)

const (
	defaultProofAge = time.Minute
	longestProofAge = 10 * time.Minute
	defaultReplays  = 100_000
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

// ReplayStore remembers which proofs were used. Instances that share one accept
// each proof once between them; verifiers that the same request passes one after
// the other must not share one. It must be safe for concurrent use, and fast: a
// request waits for it.
type ReplayStore interface {
	// Claim stores p.ID until p.Until or longer, and reports whether it was not
	// stored yet: of concurrent calls with one ID exactly one is the first. An
	// error refuses the proof with ErrUnavailable. A store whose clock is set
	// forward and back must not forget for that.
	Claim(ctx context.Context, p UsedProof) (first bool, err error)
}

// UsedProof is what a [ReplayStore] stores of a proof that passed all other checks.
type UsedProof struct {
	// ID is the SHA-256 digest of the client's key and the proof's "jti".
	ID [sha256.Size]byte
	// Subject is the SHA-256 digest of the token's tenant and "sub", or of its
	// tenant and "cnf.jkt" where there is no "sub". A store should bound how much
	// one subject stores: a client can make any number of keys and get tokens for
	// them, but not as many accounts. The digest hides neither of the two from
	// someone who can guess them.
	Subject [sha256.Size]byte
	// Until is the time after which no instance accepts the proof any more.
	Until time.Time
}

// sharedReplays is a ReplayStore for the checks in internal/dpop.
type sharedReplays struct{ ReplayStore }

func (s sharedReplays) Claim(ctx context.Context, p dpop.Claimed) (bool, error) {
	return s.ReplayStore.Claim(ctx, UsedProof(p))
}

// proofs decides what proofs are asked for, and has them checked.
type proofs struct {
	mode    DPoPMode
	algs    string // for a challenge; empty: proofs are not checked here
	checker *dpop.Checker
}

// proofs checks and completes the part of the Config that is about proofs.
func (c *Config) proofs(clocks *clock.Clock, fleet *fleetMember) (*proofs, error) {
	d := c.DPoP
	var wrong []error
	fail := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
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
	checks := dpop.Config{TrustForwarded: d.TrustForwarded, Algorithms: slices.Clone(d.Algorithms), MaxAge: d.MaxAge,
		Leeway: c.Leeway, NonceSecret: d.NonceSecret, Now: c.Now}
	if d.Origin != "" {
		origin, ok := dpop.NormalURL(d.Origin)
		if !ok || strings.ContainsAny(d.Origin, "?#") {
			fail("DPoP.Origin must be of the form https://host or https://host/path")
		}
		if d.TrustForwarded {
			fail("DPoP has both Origin and TrustForwarded: only one can say what the address is")
		}
		checks.Origin = strings.TrimSuffix(origin, "/")
	}
	if len(checks.Algorithms) == 0 {
		checks.Algorithms = dpop.AlgorithmNames
	}
	for _, alg := range checks.Algorithms {
		if !slices.Contains(dpop.AlgorithmNames, alg) {
			fail("DPoP.Algorithms has %s, which is not one of %v", redact.Quote(alg), dpop.AlgorithmNames)
		}
	}
	if checks.MaxAge == 0 {
		checks.MaxAge = defaultProofAge
	}
	if checks.MaxAge < time.Second || checks.MaxAge > longestProofAge {
		fail("DPoP.MaxAge is %v, not between 1s and %v", checks.MaxAge, longestProofAge)
	}
	if n := len(d.NonceSecret); n > 0 && n < 32 {
		fail("DPoP.NonceSecret has less than 32 bytes")
	}
	if d.MaxReplays < 0 {
		fail("DPoP.MaxReplays is negative")
	}
	if d.Replays != nil {
		checks.Store = sharedReplays{d.Replays}
		if d.MaxReplays != 0 {
			fail("DPoP.MaxReplays bounds the memory of one instance, and DPoP.Replays takes its place")
		}
	} else {
		local := dpop.NewMemory(cmp.Or(d.MaxReplays, defaultReplays), checks.MaxAge+2*c.Leeway, clocks)
		checks.Store = fleet.replays(local, c.Leeway)
	}
	p := &proofs{mode: d.Mode, checker: dpop.New(checks)}
	if addressed && d.Mode != DPoPOff {
		p.algs = strings.Join(checks.Algorithms, " ")
	}
	return p, errors.Join(wrong...)
}

// needsProof reports whether a token that came with a scheme must come with a
// proof, too. The error says that the two do not belong together (§7.1, §7.2).
func (p *proofs) needsProof(claims *Claims, dpop bool) (bool, error) {
	bound := claims.Confirmation() != ""
	switch {
	case !bound && p.mode == DPoPRequired:
		return false, badBinding("a token that is bound to a key (DPoPRequired)", "one that is not",
			"This service only accepts access tokens that are bound to a key (DPoP).")
	case !bound && dpop:
		return false, badBinding("a token that is bound to a key, because the scheme is DPoP", "one that is not",
			"This access token is not bound to a key: send it with the scheme Bearer.")
	case !bound:
		return false, nil
	case p.mode == DPoPOff:
		return false, badBinding("a token that is not bound to a key (DPoPOff: proofs are not checked)", "one that is", detailNoDPoP)
	case !dpop:
		// §7.2: otherwise a stolen token would do without its key.
		return false, badBinding("the scheme DPoP, because the token is bound to a key", "the scheme Bearer, or no scheme", detailNeedsProof)
	}
	return true, nil
}

// check decides whether a proof is good for the token with these claims, and uses it
// up. oldNonce reports that the client's next proof should have another nonce.
func (p *proofs) check(ctx context.Context, by dpop.Presented, claims *Claims) (oldNonce bool, err error) {
	by.Thumbprint, by.Subject = claims.Confirmation(), claims.account()
	oldNonce, err = p.checker.Check(ctx, by)
	return oldNonce, proofErr(err)
}

// offerNonce tells the client the nonce for its next proof (RFC 9449 §8.2). What carries
// it should not be used again for another request.
func (p *proofs) offerNonce(h http.Header) {
	if nonce := p.checker.Nonce(); nonce != "" {
		h.Set("DPoP-Nonce", nonce)
		h.Set("Cache-Control", "no-store")
	}
}

const (
	detailNoDPoP     = "This service does not accept access tokens that are bound to a key (DPoP)."
	detailNeedsProof = "This access token is bound to a key: send it with the scheme DPoP, and with a proof by that key."
	detailOtherKey   = "The access token is bound to another key than the one that the proof was made with."
)

// badBinding says that a token and the way in which it came do not belong
// together (RFC 9449 §7.1, §7.2). detail is for the client.
func badBinding(want, got, detail string) *Error {
	return &Error{Check: "dpop binding", Want: want, Got: got, Err: ErrProof, code: "invalid_token", detail: detail}
}

// proofErr makes the public error of what is wrong with a proof.
func proofErr(err error) error {
	e, ok := err.(*dpop.Error)
	if !ok {
		return err
	}
	public := &Error{Check: "dpop " + e.Check, Want: e.Want, Got: e.Got, Err: ErrProof, Cause: e.Cause}
	switch e.Kind {
	case dpop.NeedsNonce:
		public.code = "use_dpop_nonce"
	case dpop.OtherKey:
		public.code, public.detail = "invalid_token", detailOtherKey
	case dpop.NoAddress:
		public.code, public.detail = "invalid_token", detailNoDPoP
	case dpop.Replayed:
		public.Err = ErrReplay
	case dpop.Untold:
		public.Err = ErrUnavailable
	}
	return public
}
