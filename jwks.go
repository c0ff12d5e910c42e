package persauth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/persauth/persauth/internal/clock"
	"github.com/persauth/persauth/internal/jose"
	"github.com/persauth/persauth/internal/keyring"
	"github.com/persauth/persauth/internal/persapi"
	"github.com/persauth/persauth/internal/redact"
)

// Key sets (RFC 7517) as users see them: what is in one, where keys come from, and how
// the sources are put together. Keys over time are in internal/keyring.

// KeyInfo describes a key of a key set.
type KeyInfo struct {
	// Position is the key's place in the "keys" array, from 0.
	Position int `json:"position"`
	// KeyID is the key's "kid", which may be empty.
	KeyID string `json:"keyId"`
	// Type is the key's "kty", with the curve or the length: "RSA 2048",
	// "EC P-256", "OKP Ed25519".
	Type string `json:"type"`
	// Algorithms are the algorithms that the key may be used for.
	Algorithms []string `json:"algorithms,omitempty"`
	// Thumbprint is the key's SHA-256 thumbprint (RFC 7638) in base64url.
	Thumbprint string `json:"thumbprint,omitempty"`
	// Problem says why the key cannot be used. It is empty for a good key.
	Problem string `json:"problem,omitempty"`
}

// InspectKeys reads a JWK Set and describes each of its keys, in order, with
// what is wrong with those that cannot be used. The error says that jwks is no
// JWK Set at all.
func InspectKeys(jwks []byte) ([]KeyInfo, error) {
	keys, err := jose.InspectKeySet(jwks)
	if err != nil {
		return nil, err
	}
	return publicInfos(keys), nil
}

// publicInfos are copies that the caller may change.
func publicInfos(keys []jose.KeyInfo) []KeyInfo {
	infos := make([]KeyInfo, len(keys))
	for i, k := range keys {
		infos[i] = KeyInfo{k.Position, k.KeyID, k.Type, slices.Clone(k.Algorithms), k.Thumbprint, k.Problem}
	}
	return infos
}

// persOrigin reads the tenant's key set from PERS.
type persOrigin struct{ pers *persapi.Client }

func (o persOrigin) Name() string { return keyring.Remote }

func (o persOrigin) Read(ctx context.Context, fresh bool) (keyring.Reading, error) {
	body, freshFor, err := o.pers.Keys(ctx, fresh)
	return keyring.Reading{Body: body, FreshFor: freshFor}, err
}

// KeySource is where [Config.Keys] come from: [StaticKeys], [FSKeys] or
// [FileKeys].
type KeySource interface {
	// open reads the keys for the first time. The origin is nil where they
	// cannot change.
	open() (body []byte, origin keyring.Origin, err error)
}

// keySource is every KeySource. What it reads is in a function, which fmt never
// looks into, also where it finds a KeySource in an unexported field.
type keySource struct {
	name string // for people
	read func() (body []byte, origin keyring.Origin, err error)
}

func (s *keySource) open() ([]byte, keyring.Origin, error) { return s.read() }

// StaticKeys are keys from the JSON of a JWK Set (RFC 7517 §5). They have no
// age.
func StaticKeys(jwks []byte) KeySource {
	jwks = bytes.Clone(jwks)
	return &keySource{fmt.Sprintf("StaticKeys(%d bytes)", len(jwks)),
		func() ([]byte, keyring.Origin, error) { return jwks, nil, nil }}
}

// FSKeys are keys from a JWK Set in a file of fsys, an [embed.FS] for instance.
// The file is read once, in [New]. The keys have no age.
func FSKeys(fsys fs.FS, name string) KeySource {
	return &keySource{fmt.Sprintf("FSKeys(%q)", name), func() ([]byte, keyring.Origin, error) {
		if fsys == nil {
			return nil, nil, errors.New("the file system is nil")
		}
		file, err := fsys.Open(name)
		if err != nil {
			return nil, nil, err
		}
		defer file.Close()
		body, err := redact.ReadAll(file, jose.MaxKeySetSize)
		return body, nil, err
	}}
}

// FileKeys are keys from a JWK Set in the file at path, which must be a regular
// file. It is read again at most once a second, and only while tokens are
// verified, so a change takes effect with the next token after that second, also
// when a symbolic link on the way was swapped, as happens to a mounted
// ConfigMap. A token with an unknown key id has it read at once. A new content
// that is not a usable key set is reported in [Status], and the keys from before
// stay in use. The keys have no age.
func FileKeys(path string) KeySource {
	return &keySource{fmt.Sprintf("FileKeys(%q)", path), func() ([]byte, keyring.Origin, error) {
		got, err := keyring.File(path).Read(context.Background(), false)
		return got.Body, keyring.File(path), err
	}}
}

// keyring opens the sources of keys and reads those that need no network. pers
// may be nil. Where there is no source at all, it leaves it to check to say so.
func (c *Config) keyring(pers *persapi.Client, fleet *fleetMember) (*keyring.Ring, error) {
	var k *keyring.Ring
	var seed *jose.KeySet
	var origin keyring.Origin
	source := "static"
	if c.Keys != nil {
		body, from, err := c.Keys.open()
		if err == nil {
			seed, err = jose.ParseKeySet(body)
		}
		if err != nil {
			return nil, fmt.Errorf("source of Keys: %w", err)
		}
		origin = from
	}
	times := keyring.Times{Soft: keyring.FileInterval, Patience: keyring.FilePatience, Timeout: c.Timeout, MaxBackoff: keyring.FileInterval}
	if origin != nil {
		source = origin.Name()
	}
	var kept *keyring.Snapshot
	if pers != nil {
		if c.Snapshot != "" {
			kept = keyring.NewSnapshot(c.Snapshot, pers.KeysURL(), pers.TenantTag())
		}
		if !c.Offline {
			origin, source = persOrigin{pers}, "seed"
			if fleet != nil {
				origin = fleet.origin(pers, c, func() clock.Instant { return k.Fetched() })
			}
			times = keyring.Times{Soft: c.softAge(), SoftGiven: c.KeySoftAge != 0, Hard: c.KeyHardAge, Timeout: c.Timeout,
				Unknown:    c.spread(c.UnknownKeyInterval, c.softAge()), // after that the keys are refreshed anyway
				MaxBackoff: c.spread(longestBackoff, longestSpread)}
		}
	}
	k = keyring.New(keyring.Settings{Origin: origin, Times: times, Snapshot: kept, Now: c.Now, Log: c.Logger, Unheard: c.Logger == noLogger})
	k.Begin(seed, source, clock.Of(c.Now()))
	if c.Offline && kept != nil && k.Latest() == nil {
		return nil, errors.Join(errors.New("no keys, and Offline is set"), kept.Problem())
	}
	return k, nil
}
