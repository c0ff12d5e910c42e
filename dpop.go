package persauth

// DPoP (RFC 9449): the proof that whoever sends a token that is bound to a key
// also holds that key.

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	maxProofSize  = 8 << 10
	maxProofID    = 256 // of "jti", in bytes
	defaultMaxAge = time.Minute
	longestMaxAge = 10 * time.Minute
	// rememberedProofKeys is how many clients' keys are kept ready.
	rememberedProofKeys = 4096
)

// errUseNonce tells a missing or old nonce from other faults of a proof.
var errUseNonce = errors.New("the proof has no nonce that is good now")

// proofs checks proofs.
type proofs struct {
	cfg        DPoP
	origin     string // in the form of normalURL, without a slash at the end
	algorithms []string
	leeway     time.Duration
	now        func() time.Time
	nonces     *nonces // nil: none are asked for
	keys       *bounded[*proofKey]
}

// proofKey is the header of a proof whose signature held: it is the same for
// each proof by the same client.
type proofKey struct {
	segment   string
	algorithm *algorithm
	key       *publicKey
}

func (p *proofs) algs() string {
	if p.cfg.Mode == DPoPOff {
		return ""
	}
	return strings.Join(p.algorithms, " ")
}

// offerNonce tells the client the nonce for its next proof (§8.2).
func (p *proofs) offerNonce(h http.Header) {
	if p.nonces != nil {
		h.Set("DPoP-Nonce", p.nonces.current(p.now()))
	}
}

// check decides whether the token may be used by whoever sent the request.
func (p *proofs) check(r *http.Request, found credentials, claims *Claims) error {
	bound := claims.confirmation != ""
	switch {
	case !bound && found.dpop:
		return badProof("credentials", "a token that is bound to a key, with the scheme DPoP", "one that is not")
	case !bound && p.cfg.Mode == DPoPRequired:
		return badProof("credentials", "a token that is bound to a key", "one that is not")
	case !bound:
		return nil
	case p.cfg.Mode == DPoPOff:
		return badProof("credentials", "a token that is not bound to a key: proofs are not checked here", "one that is")
	case !found.dpop:
		// §7.2: otherwise a stolen token would do without its key.
		return badProof("credentials", "the scheme DPoP, as the token is bound to a key", "another")
	}
	target, err := p.target(r)
	if err != nil {
		return err
	}
	values := r.Header.Values("DPoP")
	if len(values) != 1 {
		return badProof("proof", "one DPoP header", fmt.Sprintf("%d of them", len(values)))
	}
	id, until, err := p.verify(values[0], r.Method, target, found.token, claims.confirmation)
	if err != nil {
		return err
	}
	// Last, so that a proof that is not good uses up nothing.
	return p.once(r.Context(), id, until)
}

// verify checks a proof in all but whether it was used before: what is cheap
// first, then the signature. It returns an id for the proof and until when
// it has to be remembered.
func (p *proofs) verify(proof, method, target, token, thumbprint string) (id [sha256.Size]byte, until instant, err error) {
	if len(proof) > maxProofSize {
		return id, 0, badProof("proof", fmt.Sprintf("at most %d bytes", maxProofSize), fmt.Sprintf("%d", len(proof)))
	}
	s, err := split(proof)
	if err != nil {
		return id, 0, badProof("proof", "a compact JWS", "something else")
	}
	k, known := p.known(s.header)
	if !known {
		if k, err = p.readHeader(s.header); err != nil {
			return id, 0, err
		}
	}
	if subtle.ConstantTimeCompare([]byte(k.key.Thumbprint), []byte(thumbprint)) != 1 {
		return id, 0, badProof("jkt", "the key that the token is bound to", "another")
	}
	c, err := p.readClaims(s.payload)
	if err != nil {
		return id, 0, err
	}
	if err := p.checkClaims(c, method, target, token); err != nil {
		return id, 0, err
	}
	signature, err := decodeSegment(nil, s.signature, "signature")
	if err != nil {
		return id, 0, badProof("signature", "base64url", "something else")
	}
	if !k.algorithm.verify(k.key.public, []byte(s.signingInput), signature) {
		return id, 0, badProof("signature", "one by the key in the proof", "another")
	}
	if !known {
		p.keys.put(p.keys.hash(k.segment), k)
	}
	return sha256.Sum256([]byte(k.key.Thumbprint + "\x00" + c.jti)), c.iat.add(p.cfg.MaxAge), nil
}

// known returns the header that a segment stood for before.
func (p *proofs) known(segment string) (*proofKey, bool) {
	k, ok := p.keys.get(p.keys.hash(segment))
	return k, ok && k.segment == segment
}

// readHeader reads the header of a proof, with the public key in it (§4.2).
func (p *proofs) readHeader(segment string) (*proofKey, error) {
	raw, err := decodeSegment(nil, segment, "header")
	if err != nil {
		return nil, badProof("header", "base64url", "something else")
	}
	var m struct {
		Typ  string         `json:"typ"`
		Alg  string         `json:"alg"`
		JWK  jsontext.Value `json:"jwk"`
		Crit jsontext.Value `json:"crit"`
		B64  jsontext.Value `json:"b64"`
	}
	if strictObject(raw, &m) != nil {
		return nil, badProof("header", "a strict JSON object", "something else")
	}
	algorithm := algorithms[m.Alg]
	switch {
	case mediaType(m.Typ) != "dpop+jwt":
		return nil, badProof("typ", "dpop+jwt", quoted(m.Typ))
	case algorithm == nil || !slices.Contains(p.algorithms, m.Alg):
		return nil, badProof("alg", "one of "+strings.Join(p.algorithms, ", "), quoted(m.Alg))
	case m.Crit != nil || m.B64 != nil:
		return nil, badProof("crit", "no extension", "one")
	case m.JWK.Kind() != '{':
		return nil, badProof("jwk", "a public key", "none")
	}
	key := readKey(0, m.JWK)
	if key.Problem != "" {
		return nil, badProof("jwk", "a public key", "one that cannot be used: "+key.Problem)
	}
	if !key.fits(algorithm) {
		return nil, badProof("jwk", "a key for "+m.Alg, key.Type)
	}
	return &proofKey{strings.Clone(segment), algorithm, key}, nil
}

// proofClaims are the claims of a proof (§4.2).
type proofClaims struct {
	htm, htu, jti, ath, nonce string
	iat                       instant
}

func (p *proofs) readClaims(segment string) (*proofClaims, error) {
	raw, err := decodeSegment(nil, segment, "payload")
	if err != nil {
		return nil, badProof("payload", "base64url", "something else")
	}
	var m struct {
		HTM   string         `json:"htm"`
		HTU   string         `json:"htu"`
		JTI   string         `json:"jti"`
		ATH   string         `json:"ath"`
		Nonce string         `json:"nonce"`
		IAT   jsontext.Value `json:"iat"`
	}
	if strictObject(raw, &m) != nil {
		return nil, badProof("payload", "a strict JSON object", "something else")
	}
	iat, ok := numericDate(m.IAT)
	if !ok {
		return nil, badProof("iat", "a time", "none")
	}
	return &proofClaims{m.HTM, m.HTU, m.JTI, m.ATH, m.Nonce, iat}, nil
}

// checkClaims holds a proof against the request (§4.3).
func (p *proofs) checkClaims(c *proofClaims, method, target, token string) error {
	now := instantOf(p.now())
	hash := sha256.Sum256([]byte(token))
	switch {
	case c.htm != method:
		return badProof("htm", quoted(method), quoted(c.htm))
	case !sameURL(c.htu, target):
		return badProof("htu", quoted(target), quoted(c.htu))
	case c.jti == "" || len(c.jti) > maxProofID:
		return badProof("jti", fmt.Sprintf("1 to %d bytes", maxProofID), fmt.Sprintf("%d", len(c.jti)))
	case c.iat > now.add(p.leeway) || c.iat.add(p.cfg.MaxAge) <= now:
		return badProof("iat", fmt.Sprintf("at most %v before %v", p.cfg.MaxAge, now), c.iat.String())
	case subtle.ConstantTimeCompare([]byte(c.ath), []byte(base64.RawURLEncoding.EncodeToString(hash[:]))) != 1:
		return badProof("ath", "the hash of the token", "another")
	case p.nonces != nil && !p.nonces.good(c.nonce, p.now()):
		e := badProof("nonce", "the one in DPoP-Nonce", "another, or none")
		e.Cause = errUseNonce
		return e
	}
	return nil
}

// once refuses a proof that was used before.
func (p *proofs) once(ctx context.Context, id [sha256.Size]byte, until instant) error {
	first, err := p.cfg.Replays.Claim(ctx, base64.RawURLEncoding.EncodeToString(id[:]), until.time())
	switch {
	case err != nil:
		return &Error{Check: "jti", Want: "to know whether the proof was used before", Got: "no answer", Err: ErrUnavailable, Cause: err}
	case !first:
		return &Error{Check: "jti", Want: "a proof that was not used before", Got: "one that was", Err: ErrReplay}
	}
	return nil
}

func badProof(check, want, got string) *Error {
	return &Error{Check: "dpop " + check, Want: want, Got: got, Err: ErrProof}
}
