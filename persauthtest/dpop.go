package persauthtest

// Clients whose tokens are bound to a key of theirs (RFC 9449).

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"net/http"
)

// DPoPClient has a key, and makes proofs with it. It goes by the clock of its
// issuer. It is immutable and safe for concurrent use.
type DPoPClient struct {
	key   *Key
	clock *Clock
}

// DPoPClient makes a client with a key for an algorithm: one of those that
// [NewKey] takes.
func (iss *Issuer) DPoPClient(algorithm string) *DPoPClient {
	iss.t.Helper()
	return &DPoPClient{iss.stranger("", algorithm), iss.clock}
}

// BoundToken is [Issuer.Token], bound to the key of a client: its "cnf" has the
// thumbprint. As with Token, nil claims are none of one's own.
func (iss *Issuer) BoundToken(client *DPoPClient, claims any) string {
	iss.t.Helper()
	if client == nil || client.key == nil {
		iss.t.Fatalf("persauthtest: a token is bound to a client of Issuer.DPoPClient")
	}
	members := iss.members(claims)
	members["cnf"] = marshal(map[string]string{"jkt": client.Thumbprint()})
	return iss.Token(members)
}

// Key is the client's key. Its Sign makes proofs of any bytes.
func (c *DPoPClient) Key() *Key { return c.key }

// JWK is the public key as it stands in the header of a proof: without "kid",
// "alg" and "use".
func (c *DPoPClient) JWK() []byte { return marshal(c.key.public()) }

// members are those of the JWK, for a ProofChange to change.
func (c *DPoPClient) members() (members map[string]any) {
	must(json.Unmarshal(c.JWK(), &members))
	return members
}

// Thumbprint is what a token that is bound to the key has as "jkt" (RFC 7638).
func (c *DPoPClient) Thumbprint() string {
	return c.key.Thumbprint()
}

// ProofChange changes a proof before it is signed.
type ProofChange func(header, claims map[string]any)

// ProofHeader changes a member of the header. A nil value takes it out.
func ProofHeader(name string, value any) ProofChange {
	return func(header, _ map[string]any) { change(header, name, value) }
}

// ProofClaim changes a claim. A nil value takes it out.
func ProofClaim(name string, value any) ProofChange {
	return func(_, claims map[string]any) { change(claims, name, value) }
}

func change(members map[string]any, name string, value any) {
	if members[name] = value; value == nil {
		delete(members, name)
	}
}

// Proof makes a proof for one request with a token. Each has an id of its own.
func (c *DPoPClient) Proof(method, url, token string, changes ...ProofChange) string {
	hash := sha256.Sum256([]byte(token))
	header := map[string]any{"typ": "dpop+jwt", "alg": c.key.Algorithm, "jwk": c.members()}
	claims := map[string]any{"htm": method, "htu": url, "jti": rand.Text(), "iat": c.clock.Now().Unix(), "ath": encode(hash[:])}
	for _, change := range changes {
		change(header, claims)
	}
	return c.key.Sign(marshal(header), marshal(claims))
}

// Authorize puts a token and a proof into a request. The proof is for the
// request's own method and URL; where the service has another address for
// itself, change "htu".
func (c *DPoPClient) Authorize(r *http.Request, token string, changes ...ProofChange) {
	r.Header.Set("Authorization", "DPoP "+token)
	r.Header.Set("DPoP", c.Proof(r.Method, r.URL.String(), token, changes...))
}
