package persauthtest

// Proofs at the token endpoints (RFC 9449 §5). They are checked by a library
// that is not the one under test.

import (
	"crypto"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v2/jws"
)

// proofAge is how far the "iat" of a proof may be from the issuer's clock.
const proofAge = time.Minute

func badProof(message string) reply {
	return reply{status: http.StatusBadRequest, body: marshal(map[string]any{
		"statusCode": http.StatusBadRequest, "message": message, "error": "invalid_dpop_proof"})}
}

// boundTo returns the thumbprint of the key that a request brings a proof of, or
// "" where there is no proof.
func (x *exchange) boundTo() (string, *reply) {
	values := x.r.Header["Dpop"]
	if len(values) == 0 {
		return "", nil
	}
	refuse := func(message string) (string, *reply) {
		a := badProof(message)
		return "", &a
	}
	if len(values) > 1 {
		return refuse("more than one proof")
	}
	message, err := jws.ParseString(values[0])
	if err != nil || len(message.Signatures()) != 1 {
		return refuse("the proof is no compact JWS")
	}
	header := message.Signatures()[0].ProtectedHeaders()
	key := header.JWK()
	if header.Type() != "dpop+jwt" || key == nil {
		return refuse("the header of the proof is not that of one")
	}
	payload, err := jws.Verify([]byte(values[0]), jws.WithKey(header.Algorithm(), key))
	if err != nil {
		return refuse("the signature of the proof is not the key's")
	}
	var claims struct {
		ID     string  `json:"jti"`
		Method string  `json:"htm"`
		URL    string  `json:"htu"`
		At     float64 `json:"iat"`
		Nonce  string  `json:"nonce"`
	}
	s := x.server
	if json.Unmarshal(payload, &claims) != nil || claims.ID == "" {
		return refuse("the claims of the proof are not those of one")
	}
	off := time.Unix(int64(claims.At), 0).Sub(s.iss.clock.Now()).Abs()
	switch {
	case claims.Method != x.r.Method || !x.isAddress(claims.URL):
		return refuse("the proof is for another request")
	case off > proofAge:
		return refuse("the proof is not from now")
	case claims.Nonce != s.dpopNonce:
		return "", &reply{status: http.StatusBadRequest, header: map[string]string{"DPoP-Nonce": s.dpopNonce},
			body: marshal(map[string]any{"statusCode": http.StatusBadRequest, "message": "a nonce is needed", "error": "use_dpop_nonce"})}
	}
	thumbprint, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return refuse("the key of the proof cannot be used")
	}
	if !s.sessions.firstUse(claims.ID) {
		return refuse("the proof was used before")
	}
	return encode(thumbprint), nil
}

// isAddress reports whether a URL is that of the request: the server may be
// served at an address that it does not know.
func (x *exchange) isAddress(url string) bool {
	_, rest, _ := strings.Cut(url, "://")
	return url == x.server.url+x.r.URL.Path || rest == x.r.Host+x.r.URL.Path
}
