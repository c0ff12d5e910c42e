package dpop_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/persauth/persauth/internal/clock"
	"github.com/persauth/persauth/internal/dpop"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const shopOrders = "https://shop.example/orders"

// signer is a client's key, and signs proofs of exactly the wanted bytes.
type signer struct {
	private            ed25519.PrivateKey
	x, jwk, thumbprint string
}

func newSigner(seed string) signer {
	sum := sha256.Sum256([]byte(seed))
	private := ed25519.NewKeyFromSeed(sum[:])
	x := base64.RawURLEncoding.EncodeToString(private.Public().(ed25519.PublicKey))
	print := sha256.Sum256([]byte(`{"crv":"Ed25519","kty":"OKP","x":"` + x + `"}`)) // RFC 7638 §3
	return signer{private, x, `{"kty":"OKP","crv":"Ed25519","x":"` + x + `"}`, base64.RawURLEncoding.EncodeToString(print[:])}
}

func (s signer) sign(header, claims string) string {
	input := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	return input + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(s.private, []byte(input)))
}

// proof is a good one for shopOrders, with more members in its header.
func (s signer) proof(more, jti string, at time.Time, token string) string {
	hash := sha256.Sum256([]byte(token))
	return s.sign(`{"typ":"dpop+jwt","alg":"EdDSA","jwk":`+s.jwk+more+`}`, fmt.Sprintf(`{"jti":%q,"htm":"GET","htu":%q,"iat":%d,"ath":%q}`,
		jti, shopOrders, at.Unix(), base64.RawURLEncoding.EncodeToString(hash[:])))
}

func newChecker(origin string, now func() time.Time) *dpop.Checker {
	return dpop.New(dpop.Config{Origin: origin, Algorithms: dpop.AlgorithmNames, MaxAge: time.Minute, Leeway: 30 * time.Second, Now: now,
		Store: dpop.NewMemory(1000, 2*time.Minute, clock.New(now))})
}

// A client that writes its header in ever new ways takes one place in memory.
func TestCachedKeys(t *testing.T) {
	now := func() time.Time { return time.Unix(1_900_000_000, 0) }
	key, other := newSigner("one"), newSigner("other")
	check := func(checker *dpop.Checker, proof, thumbprint string) error {
		_, err := checker.Check(t.Context(), dpop.Presented{Proofs: []string{proof}, Method: "GET", Target: shopOrders, Token: "token", Thumbprint: thumbprint})
		return err
	}
	checker := newChecker("https://shop.example", now)
	for i := range 50 {
		proof := key.proof(fmt.Sprintf(`,"x":%d`, i), fmt.Sprint(i), now(), "token")
		require.NoError(t, check(checker, proof, key.thumbprint))
		var replayed *dpop.Error
		require.ErrorAs(t, check(checker, proof, key.thumbprint), &replayed)
		require.Equal(t, dpop.Replayed, replayed.Kind)
	}
	assert.Equal(t, 1, checker.CachedKeys())

	checker = newChecker("https://shop.example", now)
	require.NoError(t, check(checker, key.proof(`,"x":"`+strings.Repeat("x", 4<<10)+`"`, "1", now(), "token"), key.thumbprint))
	assert.Zero(t, checker.CachedKeys(), "a long header is not kept")
	var refused *dpop.Error
	require.ErrorAs(t, check(checker, other.proof("", "1", now(), "token"), key.thumbprint), &refused)
	require.Equal(t, dpop.OtherKey, refused.Kind)
	assert.Zero(t, checker.CachedKeys(), "nor is one whose proof was not good")
}

// The example of RFC 9449 §7.1: the proof and the token of figure 13, and the
// thumbprint of §6.1. The token is not a JWT, so this goes to the proof alone.
const (
	rfcProof = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJo" +
		"RjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19" +
		".eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIs" +
		"ImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9" +
		".2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
	rfcToken      = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
	rfcThumbprint = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
	rfcTarget     = "https://resource.example.org/protectedresource"
	rfcTime       = 1562262618
)

func TestProofOfRFC9449(t *testing.T) {
	now := time.Unix(0, 0)
	checker := newChecker("https://resource.example.org", func() time.Time { return now })
	for _, c := range []struct {
		name                                     string
		at                                       int64
		method, target, token, thumbprint, proof string
		ok                                       bool
	}{
		{"as it stands", 0, "GET", rfcTarget, rfcToken, rfcThumbprint, rfcProof, true},
		{"a minute later, less a second", 59, "GET", rfcTarget, rfcToken, rfcThumbprint, rfcProof, true},
		{"a minute later", 60, "GET", rfcTarget, rfcToken, rfcThumbprint, rfcProof, false},
		{"another method", 0, "POST", rfcTarget, rfcToken, rfcThumbprint, rfcProof, false},
		{"another address", 0, "GET", rfcTarget + "s", rfcToken, rfcThumbprint, rfcProof, false},
		{"another token", 0, "GET", rfcTarget, rfcToken + "A", rfcThumbprint, rfcProof, false},
		{"another key", 0, "GET", rfcTarget, rfcToken, strings.Repeat("A", 43), rfcProof, false},
		{"another signature", 0, "GET", rfcTarget, rfcToken, rfcThumbprint, strings.Replace(rfcProof, ".2oW9", ".3oW9", 1), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			now = time.Unix(rfcTime+c.at, 0)
			err := checker.Inspect(dpop.Presented{Proofs: []string{c.proof}, Method: c.method, Target: c.target, Token: c.token, Thumbprint: c.thumbprint})
			if c.ok {
				require.NoError(t, err)
			} else {
				var refused *dpop.Error
				require.ErrorAs(t, err, &refused)
			}
		})
	}
}

// Under constant load the memory goes up to what the window holds, and no further.
func TestReplaysUnderLoad(t *testing.T) {
	wall := time.Unix(1_900_000_000, 0)
	const window, perSecond = 90 * time.Second, 20
	// Forgotten in eighths: at most one more than the window has.
	store := dpop.NewMemory(perSecond*(90+90/8+2), window, clock.New(func() time.Time { return wall }))
	for second := range 1000 {
		for i := range perSecond {
			id := sha256.Sum256([]byte{byte(second >> 8), byte(second), byte(i)})
			first, err := store.Claim(t.Context(), dpop.Claimed{ID: id, Subject: [32]byte{byte(i)}, Until: wall.Add(window)})
			require.NoError(t, err, "second %d", second)
			require.True(t, first)
		}
		wall = wall.Add(time.Second)
	}
}

// A flood takes no more memory than is said: also when each proof is of another
// subject.
func TestReplayMemory(t *testing.T) {
	const limit = 100_000
	for _, c := range []struct {
		name     string
		subjects uint64
		atMost   uint64 // bytes for each proof
	}{
		{"some subjects", 100, 60},
		{"a subject for each proof", limit, 130},
	} {
		t.Run(c.name, func(t *testing.T) {
			wall := time.Unix(1_900_000_000, 0)
			store := dpop.NewMemory(limit, 2*time.Minute, clock.New(func() time.Time { return wall }))
			before := heapInUse()
			var held uint64
			for i := range uint64(2 * limit) {
				p := dpop.Claimed{Until: wall.Add(time.Duration(i%120) * time.Second)}
				binary.BigEndian.PutUint64(p.ID[:], i)
				binary.BigEndian.PutUint64(p.Subject[:], i%c.subjects)
				if first, err := store.Claim(t.Context(), p); err == nil && first {
					held++
				}
			}
			grown := heapInUse() - before
			assert.EqualValues(t, limit, held)
			assert.Less(t, grown/limit, c.atMost)
			t.Logf("%d bytes for each proof", grown/limit)
			runtime.KeepAlive(store)
		})
	}
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
