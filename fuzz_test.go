package persauth_test

import (
	"bytes"
	"testing"

	"github.com/persauth/persauth"
)

// Of all that can be made of good tokens, nothing verifies but the tokens: not
// to a verifier that has not seen them, nor to one that remembers them. Explain
// gives the same answer.
func FuzzMutation(f *testing.F) {
	tokens := [][]byte{}
	for _, alg := range []string{"RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"} {
		tokens = append(tokens, []byte(tokenWith(keyFor(alg), goodClaims)))
	}
	set := setFor("RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA")
	forgetful := holding(f, set, func(cfg *persauth.Config) { cfg.CacheTokens = 1 })
	mindful := holding(f, set)
	for i, token := range tokens {
		answers(f, mindful, string(token), nil)
		for how := range uint8(mutations) {
			f.Add(uint8(i), how, uint16(len(token)-1), []byte("="))
			f.Add(uint8(i), how, uint16(len(token)/2), []byte("A"))
			f.Add(uint8(i), how, uint16(len(token)), []byte("\n"))
		}
	}
	f.Fuzz(func(t *testing.T, which, how uint8, at uint16, data []byte) {
		mutant := mutated(tokens, which, how, at, data)
		for _, token := range tokens {
			if bytes.Equal(mutant, token) {
				return
			}
		}
		for _, v := range []*persauth.Verifier{forgetful, mindful} {
			claims, err := v.Verify(t.Context(), string(mutant))
			if err == nil || claims != nil {
				t.Fatalf("accepted: %q", mutant)
			}
			if persauth.Code(err) == "internal" {
				t.Fatalf("an error of no kind: %v", err)
			}
			if v.Explain(t.Context(), string(mutant)).Valid {
				t.Fatalf("explained as valid: %q", mutant)
			}
			if payload, err := v.InsecureVerifySignatureOnly(t.Context(), string(mutant)); err == nil || payload != nil {
				t.Fatalf("signature accepted: %q", mutant)
			}
		}
	})
}

// mutations is how many ways to change a token there are.
const mutations = 9

func mutated(tokens [][]byte, which, how uint8, at uint16, data []byte) []byte {
	token := bytes.Clone(tokens[int(which)%len(tokens)])
	other := tokens[(int(which)+1+int(at))%len(tokens)]
	i := int(at) % (len(token) + 1)
	end := min(i+len(data), len(token))
	head, tail := token[:i:i], token[end:]
	parts, others := bytes.Split(token, []byte(".")), bytes.Split(other, []byte("."))
	part := i % 3
	switch how % mutations {
	case 0: // put something in
		return append(append(head, data...), token[i:]...)
	case 1: // take something out
		return append(head, tail...)
	case 2: // something else instead
		return append(append(head, data...), tail...)
	case 3: // bits turned
		for n := range min(len(data), len(token)-i) {
			token[i+n] ^= data[n]
		}
		return token
	case 4: // a segment of another token
		parts[part] = others[part]
	case 5: // two segments in each other's place
		parts[part], parts[(part+1)%3] = parts[(part+1)%3], parts[part]
	case 6: // a segment of one's own
		parts[part] = []byte(b64(data))
	case 7: // a piece twice
		return append(append(head, token[i:end]...), token[i:]...)
	case 8: // a segment longer
		parts[part] = append(bytes.Clone(parts[part]), data...)
	}
	return bytes.Join(parts, []byte("."))
}
