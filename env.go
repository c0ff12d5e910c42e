package persauth

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/persauth/persauth/internal/dpop"
	"github.com/persauth/persauth/internal/persapi"
)

// FromEnv returns the Config that the environment describes, for [New]. Add to it
// what the environment does not say:
//
//	PERS_PROJECT_KEY   ProjectKey
//	PERS_BASE_URL      BaseURL
//	PERS_JWKS_FILE     Keys, as FileKeys
//	PERS_SNAPSHOT      Snapshot
//	PERS_ISSUER        Issuer
//	PERS_AUDIENCE      Audience
//	PERS_TENANTS       Tenants, separated by commas
//	PERS_DPOP_ORIGIN   DPoP.Origin
//	PERS_INSTANCES     Instances
//
// PERS_PROJECT_KEY or PERS_JWKS_FILE must be set. The error names each variable that
// is wrong, and shows no value. One that is set and empty is an error: a setting that
// is missing must not waive a check.
func FromEnv() (Config, error) { return fromEnv(os.LookupEnv) }

func fromEnv(lookup func(string) (string, bool)) (Config, error) {
	var cfg Config
	var wrong []error
	read := func(name string, set func(value string) error) {
		value, ok := lookup(name)
		if !ok {
			return
		}
		err := errors.New("is set, and empty")
		if value != "" {
			err = set(value)
		}
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", name, err))
		}
	}
	text := func(field *string) func(string) error {
		return func(value string) error { *field = value; return nil }
	}
	read("PERS_PROJECT_KEY", func(value string) error { cfg.ProjectKey = value; return persapi.CheckProjectKey(value) })
	read("PERS_BASE_URL", func(value string) error {
		cfg.BaseURL = value
		_, err := persapi.New(persapi.Settings{BaseURL: value})
		return err
	})
	read("PERS_JWKS_FILE", func(value string) error {
		cfg.Keys = FileKeys(value)
		_, err := os.Stat(value)
		return err
	})
	read("PERS_SNAPSHOT", text(&cfg.Snapshot))
	read("PERS_ISSUER", text(&cfg.Issuer))
	read("PERS_AUDIENCE", text(&cfg.Audience))
	read("PERS_TENANTS", func(value string) error {
		for tenant := range strings.SplitSeq(value, ",") {
			if tenant = strings.TrimSpace(tenant); tenant == "" {
				return errors.New("has an empty entry")
			}
			cfg.Tenants = append(cfg.Tenants, tenant)
		}
		return nil
	})
	read("PERS_DPOP_ORIGIN", func(value string) error {
		cfg.DPoP.Origin = value
		if _, ok := dpop.NormalURL(value); !ok || strings.ContainsAny(value, "?#") {
			return errors.New("must be of the form https://host or https://host/path")
		}
		return nil
	})
	read("PERS_INSTANCES", func(value string) (err error) {
		if cfg.Instances, err = strconv.Atoi(value); err != nil || cfg.Instances < 1 || cfg.Instances > maxInstances {
			return fmt.Errorf("must be a number from 1 to %d", maxInstances)
		}
		return nil
	})
	if cfg.ProjectKey == "" && cfg.Keys == nil && len(wrong) == 0 {
		wrong = append(wrong, errors.New("PERS_PROJECT_KEY is not set: it is the tenant's project key; PERS_JWKS_FILE names a key set in its place"))
	}
	if len(wrong) > 0 {
		return Config{}, fmt.Errorf("persauth: environment: %w", errors.Join(wrong...))
	}
	return cfg, nil
}
