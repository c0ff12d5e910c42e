package sidecar

// The part of the configuration that is about tokens: keys, and what is asked of
// tokens and proofs. Most of it is a persauth.Config as a file.

import (
	"path/filepath"
	"reflect"
	"time"

	"github.com/persauth/persauth"
)

type persConfig struct {
	BaseURL        string `yaml:"baseURL"`
	ProjectKeyFile string `yaml:"projectKeyFile"`
	JWKS           string `yaml:"jwks"`
	Snapshot       string `yaml:"snapshot"`
	Offline        bool   `yaml:"offline"`

	Issuer   string     `yaml:"issuer"`
	Audience string     `yaml:"audience"`
	Tenants  []string   `yaml:"tenants"`
	Claims   claimNames `yaml:"claims"`

	AuthTypes      []string       `yaml:"authTypes"`
	TokenKinds     []string       `yaml:"tokenKinds"`
	TenantEvidence tenantEvidence `yaml:"tenantEvidence"`

	// Revocation is auto, off, always, or how old an answer of PERS may be.
	Revocation string   `yaml:"revocation"`
	Grace      duration `yaml:"revocationGrace"`
	Timeout    duration `yaml:"timeout"`

	// Instances is how many share the project key.
	Instances int `yaml:"instances"`
}

type claimNames struct {
	Tenant   string `yaml:"tenant"`
	Business string `yaml:"business"`
	Role     string `yaml:"role"`
	AuthType string `yaml:"authType"`
	Kind     string `yaml:"kind"`
}

type tenantEvidence struct {
	AuthTypes  []string `yaml:"authTypes"`
	TokenKinds []string `yaml:"tokenKinds"`
}

type dpopConfig struct {
	// Mode is bound, required or off.
	Mode   string   `yaml:"mode"`
	Origin string   `yaml:"origin"`
	MaxAge duration `yaml:"maxAge"`
}

var dpopModes = map[string]persauth.DPoPMode{
	"": persauth.DPoPWhenBound, "bound": persauth.DPoPWhenBound, "required": persauth.DPoPRequired, "off": persauth.DPoPOff,
}

// resolve makes paths those of a configuration in folder.
func (c *persConfig) resolve(folder string) {
	for _, path := range []*string{&c.ProjectKeyFile, &c.JWKS, &c.Snapshot} {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(folder, *path)
		}
	}
}

func (c *persConfig) check(f *faults) {
	// PERS may give others than it documents; but not some that are so like them.
	f.notNearly("pers.authTypes", "auth type", c.AuthTypes, authTypes)
	f.notNearly("pers.tokenKinds", "token kind", c.TokenKinds, tokenKinds)
	f.notNearly("pers.tenantEvidence.authTypes", "auth type", c.TenantEvidence.AuthTypes, authTypes)
	f.notNearly("pers.tenantEvidence.tokenKinds", "token kind", c.TenantEvidence.TokenKinds, tokenKinds)
	age, err := time.ParseDuration(c.Revocation)
	if c.Revocation != "" && (err != nil || age <= 0) {
		f.wordOr("pers.revocation", "pers.revocation", c.Revocation, "a time above zero such as 5m", "auto", "off", "always")
	}
	if c.Grace > 0 && c.Revocation == "off" {
		f.add("pers.revocationGrace", "pers.revocationGrace is for when PERS is asked, and pers.revocation is off")
	}
	if c.Instances < 0 {
		f.add("pers.instances", "pers.instances is negative")
	}
}

func (c *dpopConfig) check(f *faults) {
	if c.Mode != "" {
		f.word("dpop.mode", "dpop.mode", c.Mode, "bound", "required", "off")
	}
}

// revocation is the policy of a configuration that was checked.
func (c *persConfig) revocation() persauth.RevocationPolicy {
	policy := persauth.RevocationAuto()
	switch c.Revocation {
	case "", "auto":
	case "off":
		return persauth.RevocationOff()
	case "always":
		policy = persauth.RevocationAlways()
	default:
		age, _ := time.ParseDuration(c.Revocation)
		policy = persauth.RevocationEvery(age)
	}
	if c.Grace > 0 {
		policy = policy.WithGrace(time.Duration(c.Grace))
	}
	return policy
}

// verifier makes the verifier. It opens no connection yet.
func (s *settings) verifier(base persauth.Config) (*persauth.Verifier, error) {
	c, cfg := s.PERS, base
	cfg.ProjectKey, cfg.BaseURL, cfg.Snapshot, cfg.Offline = s.projectKey, c.BaseURL, c.Snapshot, c.Offline
	cfg.Issuer, cfg.Audience, cfg.Tenants = c.Issuer, c.Audience, c.Tenants
	cfg.ClaimNames = persauth.ClaimNames{Tenant: c.Claims.Tenant, Business: c.Claims.Business, Role: c.Claims.Role, AuthType: c.Claims.AuthType, Kind: c.Claims.Kind}
	cfg.AuthTypes, cfg.TokenKinds = typesOf(c.AuthTypes), c.TokenKinds
	cfg.TenantEvidence = persauth.TenantEvidence{AuthTypes: typesOf(c.TenantEvidence.AuthTypes), TokenKinds: c.TenantEvidence.TokenKinds}
	cfg.Timeout = time.Duration(c.Timeout)
	if c.Instances != 0 {
		cfg.Instances = c.Instances
	}
	if c.JWKS != "" {
		cfg.Keys = persauth.FileKeys(c.JWKS)
	}
	cfg.Revocation = c.revocation()
	cfg.DPoP = persauth.DPoP{Mode: dpopModes[s.DPoP.Mode], Origin: s.DPoP.Origin, MaxAge: time.Duration(s.DPoP.MaxAge)}
	var err error
	if cfg.Fleet, err = s.Fleet.store(s.getenv); err != nil {
		return nil, err
	}
	return persauth.New(cfg)
}

// sameVerifier reports whether both want the same verifier.
func (s *settings) sameVerifier(other *settings) bool {
	return s.projectKey == other.projectKey && reflect.DeepEqual(s.PERS, other.PERS) && s.DPoP == other.DPoP && s.Fleet == other.Fleet
}

func typesOf(names []string) []persauth.AuthType {
	types := make([]persauth.AuthType, len(names))
	for i, name := range names {
		types[i] = persauth.AuthType(name)
	}
	return types
}
