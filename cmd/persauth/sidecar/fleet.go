package sidecar

// The part of the configuration that is about the fleet: the state that several
// sidecars, and services with the library, share.

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/fleet"
)

const (
	envFleetURL    = "PERSAUTH_FLEET_URL"
	envFleetSecret = "PERSAUTH_FLEET_SECRET"
	envFleetName   = "PERSAUTH_FLEET_NAME"
)

// fleetConfig are the fields of fleet.Options. Without a URL there is no fleet.
type fleetConfig struct {
	URL            string   `yaml:"url"`
	SecretFile     string   `yaml:"secretFile"`
	NextSecretFile string   `yaml:"nextSecretFile"`
	OldSecretFile  string   `yaml:"oldSecretFile"`
	NameSecretFile string   `yaml:"nameSecretFile"`
	Name           string   `yaml:"name"`
	Cluster        bool     `yaml:"cluster"`
	MaxLag         duration `yaml:"maxLag"`
	WhenBehind     string   `yaml:"whenBehind"` // ask, refuse or insecure-accept
	LocalProofs    bool     `yaml:"localProofs"`
	CallsPerHour   int      `yaml:"callsPerHour"`
	Instances      int      `yaml:"instances"`
	Patience       duration `yaml:"patience"`
}

func (c *fleetConfig) check(f *faults) {
	if c.WhenBehind != "" {
		f.word("fleet.whenBehind", "fleet.whenBehind", c.WhenBehind, "ask", "refuse", "insecure-accept")
	}
}

func (c *fleetConfig) resolve(folder string) {
	for _, path := range []*string{&c.SecretFile, &c.NextSecretFile, &c.OldSecretFile, &c.NameSecretFile} {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(folder, *path)
		}
	}
}

// options returns the options of the fleet, with what the environment says. The
// URL is empty where there is none.
func (c *fleetConfig) options(getenv func(string) string) (fleet.Options, error) {
	o := fleet.Options{URL: c.URL, Name: c.Name, Cluster: c.Cluster, Policy: persauth.FleetPolicy{
		MaxLag: time.Duration(c.MaxLag), LocalProofs: c.LocalProofs, CallsPerHour: c.CallsPerHour,
		Instances: c.Instances, Patience: time.Duration(c.Patience),
	}}
	switch c.WhenBehind {
	case "refuse":
		o.Policy.WhenBehind = persauth.BehindRefuses
	case "insecure-accept":
		o.Policy.WhenBehind = persauth.InsecureBehindAccepts
	}
	if o.URL == "" {
		o.URL = getenv(envFleetURL)
	}
	if o.Name == "" {
		o.Name = getenv(envFleetName)
	}
	if o.URL == "" {
		if *c != (fleetConfig{}) {
			return o, fmt.Errorf("fleet: url is missing, here and in %s", envFleetURL)
		}
		return o, nil
	}
	o.Secret = []byte(getenv(envFleetSecret))
	if len(o.Secret) > 0 && c.SecretFile != "" {
		return o, fmt.Errorf("fleet: the secret is in %s, and secretFile names a file: only one can say what it is", envFleetSecret)
	}
	for _, s := range []struct {
		path string
		into *[]byte
	}{{c.SecretFile, &o.Secret}, {c.NextSecretFile, &o.NextSecret}, {c.OldSecretFile, &o.OldSecret}, {c.NameSecretFile, &o.NameSecret}} {
		if s.path == "" {
			continue
		}
		body, err := readSmall(s.path, 4096)
		if err != nil {
			return o, fmt.Errorf("fleet: %w", err)
		}
		*s.into = []byte(strings.TrimSpace(string(body)))
	}
	return o, nil
}

// store opens the fleet, or returns nil where there is none. It does no I/O but to
// read files.
func (c *fleetConfig) store(getenv func(string) string) (persauth.Fleet, error) {
	o, err := c.options(getenv)
	if err != nil || o.URL == "" {
		return nil, err
	}
	s, err := fleet.Open(o)
	if err != nil {
		return nil, err
	}
	return ownStore{s}, nil
}

// ownStore is the store of one verifier, which closes it when it leaves: before that
// there is nothing to close.
type ownStore struct{ *fleet.Store }

func (s ownStore) Leave(ctx context.Context) error {
	err := s.Store.Leave(ctx)
	s.Close()
	return err
}

// FleetOptions returns the options of the fleet that a configuration names, or the
// environment where o.Config is empty. The error says that there is none.
func FleetOptions(o Options) (fleet.Options, error) {
	c := new(fleetConfig)
	if o.Config != "" {
		s, err := o.load()
		if err != nil {
			return fleet.Options{}, err
		}
		c = &s.Fleet
	}
	options, err := c.options(o.Getenv)
	if err == nil && options.URL == "" {
		err = errors.New("there is no fleet: give --config, or " + envFleetURL + " and " + envFleetSecret)
	}
	return options, err
}
