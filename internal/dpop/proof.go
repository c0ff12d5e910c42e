package dpop

// DPoP (RFC 9449): the proof that the sender of a token that is bound to a key also
// holds that key.

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/persauth/persauth/internal/cache"
	"github.com/persauth/persauth/internal/clock"
	"github.com/persauth/persauth/internal/jose"
	"github.com/persauth/persauth/internal/redact"
	"github.com/persauth/persauth/internal/strictjson"
)

const (
	maxProofSize = 8 << 10
	maxProofID   = 256 // of "jti", in bytes
	// rememberedProofKeys is how many clients' keys are kept ready, and
	// rememberedProofHeader how long the header may be that such a key came in.
	rememberedProofKeys   = 4096
	rememberedProofHeader = 2 << 10
)

// Config is what proofs are held against. All of it must have been checked.
type Config struct {
	// Origin is the address of the service in the form of NormalURL, without a slash
	// at the end. Empty: it is in the forwarded headers, or not known.
	Origin string
	// TrustForwarded takes it from X-Forwarded-Proto and X-Forwarded-Host.
	TrustForwarded bool
	// Algorithms are those of AlgorithmNames that proofs may be signed with.
	Algorithms []string
	// MaxAge is how old a proof may be, Leeway how far in the future.
	MaxAge, Leeway time.Duration
	// NonceSecret is what nonces are made with. Empty: none are asked for.
	NonceSecret []byte
	// Store remembers used proofs.
	Store Store
	Now   func() time.Time
}

// Store remembers used proofs. See Claim of [Memory] for what it promises.
type Store interface {
	Claim(ctx context.Context, p Claimed) (first bool, err error)
}

// Claimed is a proof that passed all other checks.
type Claimed struct {
	ID      [sha256.Size]byte // of the client's key and the proof's "jti"
	Subject [sha256.Size]byte // of the account behind the token
	Until   time.Time         // after which no instance accepts the proof any more
}

// Checker checks proofs. It is safe for concurrent use.
type Checker struct {
	cfg    Config
	nonces *nonces // nil: none are asked for
	keys   *cache.Bounded[*proofKey]
}

func New(cfg Config) *Checker {
	p := &Checker{cfg: cfg, keys: cache.NewBounded[*proofKey](rememberedProofKeys)}
	if len(cfg.NonceSecret) > 0 {
		p.nonces = &nonces{secret: slices.Clone(cfg.NonceSecret)}
	}
	return p
}

// proofAlgorithms are the algorithms of proofs. Clients have begun to use the
// name of RFC 9864 §2.2.
var proofAlgorithms = func() map[string]*jose.Algorithm {
	all := maps.Clone(jose.Algorithms)
	all["Ed25519"] = jose.Algorithms["EdDSA"]
	return all
}()

// AlgorithmNames are the values of "alg" that proofs can be checked with.
var AlgorithmNames = append(slices.Clone(jose.AlgorithmNames), "Ed25519")

// proofKey is the header of a proof whose signature held: it is the same for
// each proof by the same client. It is remembered under the thumbprint of the
// key, so that a client fills one place only.
type proofKey struct {
	segment   string
	algorithm *jose.Algorithm
	key       *jose.Key
}

// proof is a proof on its way through the checks. It comes from a pool with room
// for what is decoded on the way, and goes back to it.
type proof struct {
	jose.Segments
	claims   proofClaims
	key      *proofKey
	known    bool // the key is already remembered
	oldNonce bool

	room [2 * maxProofSize]byte // the payload, and what else is needed for a moment
}

// free is the room behind the payload.
func (t *proof) free() []byte { return t.room[len(t.claims.payload):][:0] }

var proofPool = sync.Pool{New: func() any { return new(proof) }}

func (t *proof) release() {
	t.Segments, t.claims, t.key, t.known, t.oldNonce = jose.Segments{}, proofClaims{}, nil, false, false
	proofPool.Put(t)
}

// Nonce returns the one for the next proof (§8.2), or "" where none is asked for.
func (p *Checker) Nonce() string {
	if p.nonces == nil {
		return ""
	}
	return p.nonces.at(p.cfg.Now()).current
}

// Presented is a proof with what it must be for.
type Presented struct {
	Proofs         []string // the values of the DPoP header
	Method, Target string
	Token          string
	Thumbprint     string // of the key that the token is bound to
	// Subject identifies the account behind the token.
	Subject [sha256.Size]byte
}

// Check decides whether the proof is good for the token, and uses it up. oldNonce
// reports that the client's next proof should have another nonce.
func (p *Checker) Check(ctx context.Context, by Presented) (oldNonce bool, err error) {
	t := proofPool.Get().(*proof)
	defer t.release()
	if err := p.try(t, &by); err != nil {
		return false, err
	}
	// Last, so that a proof that is not good uses up nothing.
	return t.oldNonce, p.once(ctx, t, &by)
}

// Inspect is Check, and uses up nothing.
func (p *Checker) Inspect(by Presented) error {
	t := proofPool.Get().(*proof)
	defer t.release()
	return p.try(t, &by)
}

func (p *Checker) try(t *proof, by *Presented) error {
	if len(by.Proofs) != 1 {
		return badProof("proof", "one DPoP header", fmt.Sprintf("%d of them", len(by.Proofs)))
	}
	return p.verify(t, by.Proofs[0], by.Method, by.Target, by.Token, by.Thumbprint)
}

// verify checks a proof in all but whether it was used before (§4.3): what is
// cheap first, and the signature last.
func (p *Checker) verify(t *proof, text, method, target, token, thumbprint string) (err error) {
	if len(text) > maxProofSize {
		return badProof("proof", fmt.Sprintf("at most %d bytes", maxProofSize), fmt.Sprintf("%d", len(text)))
	}
	if t.Segments, err = jose.Split(text); err != nil {
		return badProof("proof", "a compact JWS: header.payload.signature", "another form")
	}
	if err := t.readClaims(); err != nil {
		return err
	}
	if err := p.checkClaims(t, method, target, token); err != nil {
		return err
	}
	if t.key, t.known = p.known(thumbprint, t.Header); !t.known {
		if t.key, err = p.readHeader(t.Header); err != nil {
			return err
		}
	}
	if subtle.ConstantTimeCompare([]byte(t.key.key.Thumbprint), []byte(thumbprint)) != 1 {
		return &Error{Kind: OtherKey, Check: "binding", Want: "a proof by the key that the token is bound to", Got: "one by another key"}
	}
	signature, err := jose.DecodeSegment(t.free(), t.Signature, "signature")
	if err != nil {
		return badProof("signature", "base64url without padding", "another encoding")
	}
	if !t.key.algorithm.Verify(t.key.key.Public, append(t.free()[len(signature):len(signature)], t.SigningInput...), signature) {
		return badProof("signature", "one by the key in the header", "one that this key did not make")
	}
	if !t.known && len(t.Header) <= rememberedProofHeader {
		p.keys.Put(t.key.key.Thumbprint, t.key)
	}
	return nil
}

// CachedKeys is how many clients' keys are kept ready.
func (p *Checker) CachedKeys() int { return p.keys.Len() }

// known returns what a header stood for before.
func (p *Checker) known(thumbprint, header string) (*proofKey, bool) {
	k, ok := p.keys.Get(thumbprint)
	return k, ok && k.segment == header
}

// readHeader reads the header of a proof, with the public key in it (§4.2).
func (p *Checker) readHeader(segment string) (*proofKey, error) {
	raw, err := jose.DecodeSegment(nil, segment, "header")
	if err != nil {
		return nil, badProof("header", "base64url without padding", "another encoding")
	}
	var m struct {
		Typ  string         `json:"typ"`
		Alg  string         `json:"alg"`
		JWK  jsontext.Value `json:"jwk"`
		Crit jsontext.Value `json:"crit"`
		B64  jsontext.Value `json:"b64"`
	}
	if strictjson.Object(raw, &m) != nil {
		return nil, badProof("header", "a strict JSON object", "other text")
	}
	algorithm := proofAlgorithms[m.Alg]
	switch {
	case jose.MediaType(m.Typ) != "dpop+jwt":
		return nil, badProof("typ", "dpop+jwt", redact.Quote(m.Typ))
	case algorithm == nil || !slices.Contains(p.cfg.Algorithms, m.Alg):
		return nil, badProof("alg", "one of "+strings.Join(p.cfg.Algorithms, ", "), redact.Quote(m.Alg))
	case m.Crit != nil || m.B64 != nil:
		return nil, badProof("crit", "no critical extension", "the header has one")
	case m.JWK.Kind() != '{':
		return nil, badProof("jwk", "a public key", "no object")
	}
	key := jose.ParseKey(0, m.JWK)
	if key.Problem != "" {
		return nil, badProof("jwk", "a public key", "one that cannot be used: "+key.Problem)
	}
	if !key.Fits(algorithm) {
		return nil, badProof("jwk", "a key for "+m.Alg, key.Type)
	}
	return &proofKey{strings.Clone(segment), algorithm, key}, nil
}

// checkClaims holds a proof against the request (§4.3).
func (p *Checker) checkClaims(t *proof, method, target, token string) error {
	c := &t.claims
	if string(c.htm) != method {
		return badProof("htm", redact.Quote(method), redact.Quote(string(c.htm)))
	}
	if string(c.htu) != target {
		if htu, ok := NormalURL(string(c.htu)); !ok || htu != target {
			return badProof("htu", redact.Quote(target), redact.Quote(htu)) // without a query, which may have secrets
		}
	}
	if len(c.jti) == 0 || len(c.jti) > maxProofID {
		return badProof("jti", fmt.Sprintf("1 to %d bytes", maxProofID), fmt.Sprintf("%d", len(c.jti)))
	}
	if now := clock.Of(p.cfg.Now()); c.iat > now.Add(p.cfg.Leeway) || c.iat.Add(p.cfg.MaxAge) <= now {
		return badProof("iat", fmt.Sprintf("at most %v old, and at most %v in the future", p.cfg.MaxAge, p.cfg.Leeway), clock.Issued(c.iat, now))
	}
	hash := sha256.Sum256(append(t.free(), token...))
	var ath [43]byte
	base64.RawURLEncoding.Encode(ath[:], hash[:])
	if subtle.ConstantTimeCompare(c.ath, ath[:]) != 1 {
		return badProof("ath", "the hash of the token", noneOr(c.ath, "another hash"))
	}
	if p.nonces == nil {
		return nil
	}
	var good bool
	if good, t.oldNonce = p.nonces.good(string(c.nonce), p.cfg.Now()); !good {
		e := badProof("nonce", "the nonce in DPoP-Nonce", noneOr(c.nonce, "another one, or an old one"))
		e.Kind = NeedsNonce
		return e
	}
	return nil
}

// noneOr describes a claim that may be missing.
func noneOr(claim []byte, other string) string {
	if len(claim) == 0 {
		return "none"
	}
	return other
}

// once refuses a proof that was used before (§11.1). Its id depends on the key,
// too: no client can use up the ids of another. It is remembered for as long as
// any instance may still accept the proof, by a clock that is a little behind.
func (p *Checker) once(ctx context.Context, t *proof, by *Presented) error {
	first, err := p.cfg.Store.Claim(ctx, Claimed{
		ID:      sha256.Sum256(append(append(append(t.free(), t.key.key.Thumbprint...), 0), t.claims.jti...)),
		Subject: by.Subject,
		Until:   t.claims.iat.Add(p.cfg.MaxAge + p.cfg.Leeway).Time(),
	})
	switch {
	case err != nil:
		return &Error{Kind: Untold, Check: "jti", Want: "to know whether the proof was used before", Got: "an error of the memory of used proofs", Cause: err}
	case !first:
		return &Error{Kind: Replayed, Check: "jti", Want: "a proof that was not used before", Got: "one that was"}
	}
	return nil
}

// Error says why a proof is not accepted.
type Error struct {
	Kind             ErrorKind
	Check, Want, Got string
	Cause            error // with Untold: of the store
}

// ErrorKind is what the client has to do about a Error.
type ErrorKind int

const (
	BadProof   ErrorKind = iota // make another proof
	NeedsNonce                  // make another proof, with a nonce
	OtherKey                    // use the key that the token is bound to
	NoAddress                   // nothing: the service does not know its address
	Replayed                    // make another proof: this one was used
	Untold                      // come again: it cannot be told whether it was
)

func (e *Error) Error() string { return e.Check + ": want " + e.Want + ", got " + e.Got }
func (e *Error) Unwrap() error { return e.Cause }

// badProof says what is wrong with a proof itself.
func badProof(check, want, got string) *Error {
	return &Error{Check: check, Want: want, Got: got}
}
