package sidecar

// The configuration file: YAML, or JSON, which is YAML too. Everything that is
// wrong with it is reported at once. Nothing in it is ever taken for "not set"
// that somebody wrote down: a variable that was empty when the file was made
// would waive what it stands for.

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"
)

const (
	maxConfigSize = 1 << 20

	defaultAddr        = "127.0.0.1:9180"
	defaultMetricsAddr = "127.0.0.1:9181"
	defaultConnections = 4096
	defaultHeaderBytes = 64 << 10
	envProjectKey      = "PERS_PROJECT_KEY"
)

// config is the file.
type config struct {
	// Proxy is who asks: nginx, traefik, caddy or envoy.
	Proxy       string `yaml:"proxy"`
	Addr        string `yaml:"addr"`
	MetricsAddr string `yaml:"metricsAddr"`
	// PathPrefix is what Envoy puts before the original path.
	PathPrefix string        `yaml:"pathPrefix"`
	LogLevel   string        `yaml:"logLevel"`
	Limits     limitsConfig  `yaml:"limits"`
	PERS       persConfig    `yaml:"pers"`
	DPoP       dpopConfig    `yaml:"dpop"`
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
			return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: default is deny, or a rule", node.Line)}}
		}
		return nil
	}
	// Node.Decode would let unknown fields pass.
	body, err := yaml.Marshal(node)
	if err != nil {
		return err
	}
	d.rule = new(ruleConfig)
	return strict(body, d.rule)
}

// settings is a configuration that holds.
type settings struct {
	config
	proxy      proxy
	projectKey string
	routes     *table
}

// load reads the file and checks all of it but what needs a verifier.
func load(path string, getenv func(string) string) (*settings, error) {
	body, err := readSmall(path, maxConfigSize)
	if err != nil {
		return nil, err
	}
	s, err := parse(body)
	if err != nil {
		return nil, err
	}
	s.PERS.resolve(filepath.Dir(path))
	s.projectKey = getenv(envProjectKey)
	if file := s.PERS.ProjectKeyFile; file != "" {
		if s.projectKey != "" {
			return nil, errors.New("the project key is in " + envProjectKey + ", and pers.projectKeyFile names a file: only one can say what it is")
		}
		key, err := readSmall(file, 4096)
		if err != nil {
			return nil, fmt.Errorf("pers.projectKeyFile: %w", err)
		}
		if s.projectKey = strings.TrimSpace(string(key)); s.projectKey == "" {
			return nil, errors.New("pers.projectKeyFile: the file is empty")
		}
	}
	return s, nil
}

// parse reads a configuration, without the files that it names.
func parse(body []byte) (*settings, error) {
	var tree yaml.Node
	if err := yaml.Unmarshal(body, &tree); err != nil {
		return nil, err
	}
	wrong := empties(&tree)
	s := new(settings)
	if err := strict(body, &s.config); err != nil {
		var types *yaml.TypeError
		if !errors.As(err, &types) {
			return nil, errors.Join(append(wrong, err)...)
		}
		for _, text := range types.Errors {
			// Their texts name types of this package.
			text, _, _ = strings.Cut(text, " in type ")
			wrong = append(wrong, errors.New(text))
		}
	}
	return s, errors.Join(append(wrong, s.check())...)
}

// check reports all that is wrong with what is not a matter of form.
func (s *settings) check() error {
	var wrong []error
	fail := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	var known bool
	if s.proxy, known = proxies[s.Proxy]; !known {
		fail("proxy is %s: want nginx, traefik, caddy or envoy, the one whose headers are to be believed", printable(s.Proxy))
	}
	if s.PathPrefix != "" {
		_, _, problem := plainPath(s.PathPrefix)
		if s.Proxy != "envoy" || problem != "" || strings.HasSuffix(s.PathPrefix, "/") {
			fail("pathPrefix is for envoy, and has the form /name")
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
			fail("%s: %w", name, err)
		}
	}
	switch s.LogLevel {
	case "", "debug", "info", "warn", "error":
	default:
		fail("logLevel is %s: want debug, info, warn or error", printable(s.LogLevel))
	}
	limit := func(name string, n *int, usual, least, most int) {
		if *n == 0 {
			*n = usual
		}
		if *n < least || *n > most {
			fail("limits.%s is %d, not between %d and %d", name, *n, least, most)
		}
	}
	limit("connections", &s.Limits.Connections, defaultConnections, 8, 1_000_000)
	// A token of 16 KiB and a proof of 8 KiB have to fit.
	limit("headerBytes", &s.Limits.HeaderBytes, defaultHeaderBytes, 32<<10, 1<<20)
	wrong = append(wrong, s.PERS.check(), s.DPoP.check())
	var err error
	if s.routes, err = newTable(s.Routes, s.Default.rule); err != nil {
		wrong = append(wrong, err)
	}
	return errors.Join(wrong...)
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

// strict decodes one document without unknown fields.
func strict(body []byte, into any) error {
	decoder := yaml.NewDecoder(bytes.NewReader(body))
	decoder.KnownFields(true)
	if err := decoder.Decode(into); err != nil {
		if errors.Is(err, io.EOF) {
			return errors.New("the configuration is empty")
		}
		return err
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return errors.New("the configuration has more than one document")
	}
	return nil
}

// empties finds what is written down and says nothing: "tenant:" without a
// value, an empty text or list. It finds aliases and merged keys, too: with them
// one rule could change another.
func empties(node *yaml.Node) (wrong []error) {
	name := "this"
	for i, child := range node.Content {
		if node.Kind == yaml.MappingNode && i%2 == 0 {
			name = child.Value
		}
		switch {
		case child.Kind == yaml.AliasNode || child.Anchor != "":
			wrong = append(wrong, fmt.Errorf("line %d: %s: anchors and aliases are not taken", child.Line, printable(name)))
		case child.Kind == yaml.ScalarNode && (child.Tag == "!!null" || child.Value == ""),
			(child.Kind == yaml.MappingNode || child.Kind == yaml.SequenceNode) && len(child.Content) == 0:
			wrong = append(wrong, fmt.Errorf("line %d: %s is empty: a variable that is not set, perhaps", child.Line, printable(name)))
		}
		wrong = append(wrong, empties(child)...)
	}
	return wrong
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

// printable makes a text fit for a log and an error.
func printable(s string) string {
	const most = 100
	for _, r := range s {
		if !unicode.IsPrint(r) || len(s) > most {
			return strconv.QuoteToASCII(s[:min(len(s), most)])
		}
	}
	return s
}
