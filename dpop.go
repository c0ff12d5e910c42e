package persauth

// DPoP (RFC 9449): the proof that the sender of a token that is bound to a key also
// holds that key.

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	maxProofSize  = 8 << 10
	maxProofID    = 256 // of "jti", in bytes
	defaultMaxAge = time.Minute
	longestMaxAge = 10 * time.Minute
	// rememberedProofKeys is how many clients' keys are kept ready, and
	// rememberedProofHeader how long the header may be that such a key came in.
	rememberedProofKeys   = 4096
	rememberedProofHeader = 2 << 10
)

// proofs checks proofs.
type proofs struct {
	cfg        DPoP
	origin     string // in the form of normalURL, without a slash at the end
	algorithms []string
	algs       string // the same for a challenge; empty: proofs are not checked here
	leeway     time.Duration
	now        func() time.Time
	nonces     *nonces // nil: none are asked for
	keys       *bounded[*proofKey]
}

// proofKey is the header of a proof whose signature held: it is the same for
// each proof by the same client. It is remembered under the thumbprint of the
// key, so that a client fills one place only.
type proofKey struct {
	segment   string
	algorithm *algorithm
	key       *publicKey
}

// proof is a proof on its way through the checks. It comes from a pool with room
// for what is decoded on the way, and goes back to it.
type proof struct {
	segments
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
	t.segments, t.claims, t.key, t.known, t.oldNonce = segments{}, proofClaims{}, nil, false, false
	proofPool.Put(t)
}

// offerNonce tells the client the nonce for its next proof (§8.2). What carries
// it should not be used again for another request.
func (p *proofs) offerNonce(h http.Header) {
	if nonce := p.nonce(); nonce != "" {
		h.Set("DPoP-Nonce", nonce)
		h.Set("Cache-Control", "no-store")
	}
}

// nonce returns the one for the next proof, or "" where none is asked for.
func (p *proofs) nonce() string {
	if p.nonces == nil {
		return ""
	}
	return p.nonces.at(p.now()).current
}

// needsProof reports whether a token that came with a scheme must come with a
// proof, too. The error says that the two do not belong together (§7.1, §7.2).
func (p *proofs) needsProof(claims *Claims, dpop bool) (bool, error) {
	bound := claims.Confirmation() != ""
	switch {
	case !bound && p.cfg.Mode == DPoPRequired:
		return false, badBinding("a token that is bound to a key (DPoPRequired)", "one that is not",
			"This service only accepts access tokens that are bound to a key (DPoP).")
	case !bound && dpop:
		return false, badBinding("a token that is bound to a key, because the scheme is DPoP", "one that is not",
			"This access token is not bound to a key: send it with the scheme Bearer.")
	case !bound:
		return false, nil
	case p.cfg.Mode == DPoPOff:
		return false, badBinding("a token that is not bound to a key (DPoPOff: proofs are not checked)", "one that is", detailNoDPoP)
	case !dpop:
		// §7.2: otherwise a stolen token would do without its key.
		return false, badBinding("the scheme DPoP, because the token is bound to a key", "the scheme Bearer, or no scheme", detailNeedsProof)
	}
	return true, nil
}

// presented is a proof with what it must be for.
type presented struct {
	proofs         []string // the values of the DPoP header
	method, target string
	token          string
}

// check decides whether the proof is good for the token, and uses it up. oldNonce
// reports that the client's next proof should have another nonce.
func (p *proofs) check(ctx context.Context, by presented, claims *Claims) (oldNonce bool, err error) {
	if len(by.proofs) != 1 {
		return false, badProof("proof", "one DPoP header", fmt.Sprintf("%d of them", len(by.proofs)))
	}
	t := proofPool.Get().(*proof)
	defer t.release()
	if err := p.verify(t, by.proofs[0], by.method, by.target, by.token, claims.Confirmation()); err != nil {
		return false, err
	}
	// Last, so that a proof that is not good uses up nothing.
	return t.oldNonce, p.once(ctx, t, claims)
}

// verify checks a proof in all but whether it was used before (§4.3): what is
// cheap first, and the signature last.
func (p *proofs) verify(t *proof, text, method, target, token, thumbprint string) (err error) {
	if len(text) > maxProofSize {
		return badProof("proof", fmt.Sprintf("at most %d bytes", maxProofSize), fmt.Sprintf("%d", len(text)))
	}
	if t.segments, err = split(text); err != nil {
		return badProof("proof", "a compact JWS: header.payload.signature", "another form")
	}
	if err := t.readClaims(); err != nil {
		return err
	}
	if err := p.checkClaims(t, method, target, token); err != nil {
		return err
	}
	if t.key, t.known = p.known(thumbprint, t.header); !t.known {
		if t.key, err = p.readHeader(t.header); err != nil {
			return err
		}
	}
	if subtle.ConstantTimeCompare([]byte(t.key.key.Thumbprint), []byte(thumbprint)) != 1 {
		return badBinding("a proof by the key that the token is bound to", "one by another key",
			"The access token is bound to another key than the one that the proof was made with.")
	}
	signature, err := decodeSegment(t.free(), t.signature, "signature")
	if err != nil {
		return badProof("signature", "base64url without padding", "another encoding")
	}
	if !t.key.algorithm.verify(t.key.key.public, append(t.free()[len(signature):len(signature)], t.signingInput...), signature) {
		return badProof("signature", "one by the key in the header", "one that this key did not make")
	}
	if !t.known && len(t.header) <= rememberedProofHeader {
		p.keys.put(t.key.key.Thumbprint, t.key)
	}
	return nil
}

// known returns what a header stood for before.
func (p *proofs) known(thumbprint, header string) (*proofKey, bool) {
	k, ok := p.keys.get(thumbprint)
	return k, ok && k.segment == header
}

// readHeader reads the header of a proof, with the public key in it (§4.2).
func (p *proofs) readHeader(segment string) (*proofKey, error) {
	raw, err := decodeSegment(nil, segment, "header")
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
	if strictObject(raw, &m) != nil {
		return nil, badProof("header", "a strict JSON object", "other text")
	}
	algorithm := proofAlgorithms[m.Alg]
	switch {
	case mediaType(m.Typ) != "dpop+jwt":
		return nil, badProof("typ", "dpop+jwt", quoted(m.Typ))
	case algorithm == nil || !slices.Contains(p.algorithms, m.Alg):
		return nil, badProof("alg", "one of "+strings.Join(p.algorithms, ", "), quoted(m.Alg))
	case m.Crit != nil || m.B64 != nil:
		return nil, badProof("crit", "no critical extension", "the header has one")
	case m.JWK.Kind() != '{':
		return nil, badProof("jwk", "a public key", "no object")
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

// checkClaims holds a proof against the request (§4.3).
func (p *proofs) checkClaims(t *proof, method, target, token string) error {
	c := &t.claims
	if string(c.htm) != method {
		return badProof("htm", quoted(method), quoted(string(c.htm)))
	}
	if string(c.htu) != target {
		if htu, ok := normalURL(string(c.htu)); !ok || htu != target {
			return badProof("htu", quoted(target), quoted(htu)) // without a query, which may have secrets
		}
	}
	if len(c.jti) == 0 || len(c.jti) > maxProofID {
		return badProof("jti", fmt.Sprintf("1 to %d bytes", maxProofID), fmt.Sprintf("%d", len(c.jti)))
	}
	if now := instantOf(p.now()); c.iat > now.add(p.leeway) || c.iat.add(p.cfg.MaxAge) <= now {
		return badProof("iat", fmt.Sprintf("at most %v old, and at most %v in the future", p.cfg.MaxAge, p.leeway), issued(c.iat, now))
	}
	hash := sha256.Sum256(append(t.free(), token...))
	var ath [43]byte
	base64.RawURLEncoding.Encode(ath[:], hash[:])
	if subtle.ConstantTimeCompare(c.ath, ath[:]) != 1 {
		return badProof("ath", "the hash of the token", textOr(len(c.ath) == 0, "none", "another hash"))
	}
	if p.nonces == nil {
		return nil
	}
	var good bool
	if good, t.oldNonce = p.nonces.good(string(c.nonce), p.now()); !good {
		e := badProof("nonce", "the nonce in DPoP-Nonce", textOr(len(c.nonce) == 0, "none", "another one, or an old one"))
		e.code = "use_dpop_nonce"
		return e
	}
	return nil
}

// once refuses a proof that was used before (§11.1). Its id depends on the key,
// too: no client can use up the ids of another. It is remembered for as long as
// any instance may still accept the proof, by a clock that is a little behind.
func (p *proofs) once(ctx context.Context, t *proof, claims *Claims) error {
	used := UsedProof{
		ID:      sha256.Sum256(append(append(append(t.free(), t.key.key.Thumbprint...), 0), t.claims.jti...)),
		Subject: subjectDigest(t.free(), claims),
		Until:   t.claims.iat.add(p.cfg.MaxAge + p.leeway).time(),
	}
	first, err := p.cfg.Replays.Claim(ctx, used)
	switch {
	case err != nil:
		return &Error{Check: "dpop jti", Want: "to know whether the proof was used before", Got: "an error of the memory of used proofs", Err: ErrUnavailable, Cause: err}
	case !first:
		return &Error{Check: "dpop jti", Want: "a proof that was not used before", Got: "one that was", Err: ErrReplay}
	}
	return nil
}

// subjectDigest names the account behind a token. Where tokens have no "sub", the
// key must do. The length of the tenant keeps it apart from what follows.
func subjectDigest(room []byte, claims *Claims) [sha256.Size]byte {
	tenant, kind, account := claims.TenantID(), byte('s'), claims.Subject()
	if account == "" {
		kind, account = 'k', claims.Confirmation()
	}
	room = append(binary.BigEndian.AppendUint32(room, uint32(len(tenant))), tenant...)
	return sha256.Sum256(append(append(room, kind), account...))
}

// badProof says what is wrong with a proof itself.
func badProof(check, want, got string) *Error {
	return &Error{Check: "dpop " + check, Want: want, Got: got, Err: ErrProof}
}

const (
	detailNoDPoP     = "This service does not accept access tokens that are bound to a key (DPoP)."
	detailNeedsProof = "This access token is bound to a key: send it with the scheme DPoP, and with a proof by that key."
)

// badBinding says that a token and the way in which it came do not belong
// together (§7.1, §7.2). detail is for the client.
func badBinding(want, got, detail string) *Error {
	return &Error{Check: "dpop binding", Want: want, Got: got, Err: ErrProof, code: "invalid_token", detail: detail}
}
