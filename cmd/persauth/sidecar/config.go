package sidecar

// The configuration file: YAML, or JSON, which is YAML too. Everything that is
// wrong with it is reported at once.

import (
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

const (
	maxConfigSize = 1 << 20

	defaultAddr        = "127.0.0.1:9180"
	defaultMetricsAddr = "127.0.0.1:9181"
	defaultConnections = 4096
	defaultHeaderBytes = 64 << 10
	maxDrainDelay      = 5 * time.Minute
	envProjectKey      = "PERS_PROJECT_KEY"
	envBaseURL         = "PERS_BASE_URL"
)

// config is the file.
type config struct {
	// Proxy is who asks: nginx, traefik, caddy or envoy.
	Proxy       string `yaml:"proxy"`
	Addr        string `yaml:"addr"`
	MetricsAddr string `yaml:"metricsAddr"`
	// PathPrefix is what Envoy puts before the original path.
	PathPrefix string `yaml:"pathPrefix"`
	LogLevel   string `yaml:"logLevel"`
	// DrainDelay is how long requests are still answered after the order to
	// stop, while /readyz says that no more should come.
	DrainDelay duration      `yaml:"drainDelay"`
	Limits     limitsConfig  `yaml:"limits"`
	PERS       persConfig    `yaml:"pers"`
	DPoP       dpopConfig    `yaml:"dpop"`
	Fleet      fleetConfig   `yaml:"fleet"`
	Default    defaultConfig `yaml:"default"`
	Routes     []routeConfig `yaml:"routes"`
}

type limitsConfig struct {
	Connections int `yaml:"connections"`
	HeaderBytes int `yaml:"headerBytes"`
}

// defaultConfig is "deny", or a rule, for what no route is for.
type defaultConfig struct{ rule *ruleConfig }

func (d *defaultConfig) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		if node.Value != "deny" {
			return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: default is deny, or a rule%s", node.Line, didYouMean(node.Value, []string{"deny"}))}}
		}
		return nil
	}
	d.rule = new(ruleConfig)
	return node.Decode(d.rule)
}

// settings is a configuration that holds.
type settings struct {
	config
	proxy      proxy
	projectKey string
	routes     *table
	getenv     func(string) string
}

// load reads the file and checks all of it but what needs a verifier. Errors name
// the file.
func load(path string, getenv func(string) string) (*settings, error) {
	body, err := readSmall(path, maxConfigSize)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	s, err := parse(path, body)
	if err != nil {
		return nil, err
	}
	s.PERS.resolve(filepath.Dir(path))
	s.Fleet.resolve(filepath.Dir(path))
	s.getenv = getenv
	s.projectKey = getenv(envProjectKey)
	if s.PERS.BaseURL == "" {
		s.PERS.BaseURL = getenv(envBaseURL)
	}
	if file := s.PERS.ProjectKeyFile; file != "" {
		if s.projectKey != "" {
			return nil, fmt.Errorf("%s: the project key is in %s, and pers.projectKeyFile names a file: only one can say what it is", path, envProjectKey)
		}
		key, err := readSmall(file, 4096)
		if err != nil {
			return nil, fmt.Errorf("%s: pers.projectKeyFile: %w", path, err)
		}
		if s.projectKey = strings.TrimSpace(string(key)); s.projectKey == "" {
			return nil, fmt.Errorf("%s: pers.projectKeyFile: the file is empty", path)
		}
	}
	return s, nil
}

// parse reads a configuration, without the files that it names. file is what
// messages call it.
func parse(file string, body []byte) (*settings, error) {
	s := new(settings)
	f := decode(body, &s.config)
	s.check(f)
	return s, f.err(file)
}

// check reports all that is wrong with what is not a matter of form.
func (s *settings) check(f *faults) {
	f.word("proxy", "proxy", s.Proxy, slices.Sorted(maps.Keys(proxies))...)
	s.proxy = proxies[s.Proxy]
	if s.PathPrefix != "" {
		_, _, problem := plainPath(s.PathPrefix)
		if s.Proxy != "envoy" || problem != "" || strings.HasSuffix(s.PathPrefix, "/") {
			f.add("pathPrefix", "pathPrefix is for envoy, and has the form /name")
		}
	}
	if s.Addr == "" {
		s.Addr = defaultAddr
	}
	if s.MetricsAddr == "" {
		s.MetricsAddr = defaultMetricsAddr
	}
	for name, addr := range map[string]string{"addr": s.Addr, "metricsAddr": s.MetricsAddr} {
		if err := checkAddr(addr); err != nil {
			f.add(name, "%s: %s", name, err)
		}
	}
	if s.LogLevel != "" {
		f.word("logLevel", "logLevel", s.LogLevel, "debug", "info", "warn", "error")
	}
	if time.Duration(s.DrainDelay) > maxDrainDelay {
		f.add("drainDelay", "drainDelay is %v, more than %v", time.Duration(s.DrainDelay), maxDrainDelay)
	}
	limit := func(name string, n *int, usual, least, most int) {
		if *n == 0 {
			*n = usual
		}
		if *n < least || *n > most {
			f.add(name, "%s is %d, not between %d and %d", name, *n, least, most)
		}
	}
	limit("limits.connections", &s.Limits.Connections, defaultConnections, 8, 1_000_000)
	// A token of 16 KiB and a proof of 8 KiB have to fit.
	limit("limits.headerBytes", &s.Limits.HeaderBytes, defaultHeaderBytes, 32<<10, 1<<20)
	s.PERS.check(f)
	s.DPoP.check(f)
	s.Fleet.check(f)
	s.routes = newTable(f, s.Routes, s.Default.rule, slices.Concat(s.PERS.AuthTypes, s.PERS.TenantEvidence.AuthTypes))
}

func checkAddr(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("port %s is not a number up to 65535", printable(port))
	}
	return nil
}

// readSmall reads a file that is not larger than it has to be.
func readSmall(path string, most int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	body, err := io.ReadAll(io.LimitReader(file, most+1))
	if err == nil && int64(len(body)) > most {
		err = fmt.Errorf("%s is larger than %d bytes", path, most)
	}
	return body, err
}

// duration is a time.Duration as "5m". Its zero value is none given.
type duration time.Duration

func (d *duration) UnmarshalYAML(node *yaml.Node) error {
	parsed, err := time.ParseDuration(node.Value)
	if err != nil || parsed <= 0 {
		return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: want a time above zero, as in 30s or 5m", node.Line)}}
	}
	*d = duration(parsed)
	return nil
}
