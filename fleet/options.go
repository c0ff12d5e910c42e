package fleet

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/persauth/persauth"
	"github.com/redis/rueidis"
)

// Options say where the store is and how its contents are protected. URL and
// Secret must be set.
type Options struct {
	// URL is the address of the store, as in redis://user:password@host:6379/0,
	// rediss://… for TLS, or unix:///path. With Sentinel, it is the address of
	// one, with the name of the set: redis://sentinel-1:26379/0?master_set=main
	// and &addr=sentinel-2:26379 for each other one.
	URL string
	// Cluster says that the URL is one of a cluster's nodes.
	Cluster bool
	// TLS is used in place of the default where the URL is rediss://.
	TLS *tls.Config

	// Secret authenticates and encrypts what is stored. It has at least 32
	// bytes and is the same for all instances. It must not be the project key,
	// which is public.
	Secret []byte
	// NextSecret and OldSecret, one at a time, change the Secret without a stop.
	// First set NextSecret everywhere, to the new one. Then everywhere Secret to
	// the new one, OldSecret to the old one, and NameSecret to the first one.
	// Then take OldSecret away.
	NextSecret, OldSecret []byte
	// NameSecret keys the names of what is stored. Empty: Secret. It stays
	// what it is when Secret changes, or the fleet would fall in two.
	NameSecret []byte
	// Name tells fleets with one secret apart, such as those of two tenants.
	Name string

	// Policy says how verifiers use the fleet.
	Policy persauth.FleetPolicy
}

// minSecret is the least length of a secret, in bytes.
const minSecret = 32

func (o *Options) check() error {
	var wrong []error
	for _, s := range []struct {
		name   string
		value  []byte
		needed bool
	}{{"Secret", o.Secret, true}, {"NextSecret", o.NextSecret, false}, {"OldSecret", o.OldSecret, false}, {"NameSecret", o.NameSecret, false}} {
		if (s.needed || len(s.value) > 0) && len(s.value) < minSecret {
			wrong = append(wrong, fmt.Errorf("%s has less than %d bytes", s.name, minSecret))
		}
	}
	if len(o.NextSecret) > 0 && len(o.OldSecret) > 0 {
		wrong = append(wrong, errors.New("NextSecret and OldSecret are both set: finish one change first"))
	}
	if o.URL == "" {
		wrong = append(wrong, errors.New("URL is empty"))
	}
	return errors.Join(wrong...)
}

const (
	// dialTimeout bounds one attempt to connect, and deadAfter is how long a
	// connection may be silent before it is given up.
	dialTimeout = time.Second
	deadAfter   = 2 * time.Second
	buffer      = 32 << 10
)

// client returns the options of the client.
func (o *Options) client() (rueidis.ClientOption, error) {
	address := o.URL
	if !strings.Contains(address, "://") {
		return rueidis.ClientOption{}, errors.New("URL must begin with redis://, rediss:// or unix://")
	}
	opt, err := rueidis.ParseURL(address)
	if err != nil {
		return opt, errors.New("URL is none of a store") // the text may hold a password
	}
	if opt.TLSConfig != nil {
		opt.TLSConfig.InsecureSkipVerify = false // what the URL may ask for
		if o.TLS != nil {
			opt.TLSConfig = o.TLS.Clone()
		}
	}
	sentinel := opt.Sentinel.MasterSet != ""
	if o.Cluster && sentinel {
		return opt, errors.New("a store has either Cluster or a master_set")
	}
	opt.ForceSingleClient = !o.Cluster && !sentinel
	opt.Dialer = net.Dialer{Timeout: dialTimeout, KeepAlive: time.Second}
	opt.ConnWriteTimeout = deadAfter
	opt.DisableRetry = true // callers wait only for their context, and polls come again
	opt.DisableCache = true // needs no CLIENT TRACKING
	opt.ClientSetInfo = rueidis.DisableClientSetInfo
	opt.PipelineMultiplex = 1
	opt.ReadBufferEachConn, opt.WriteBufferEachConn = buffer, buffer
	return opt, nil
}

// newMember names an instance.
func newMember() string {
	var id [9]byte
	rand.Read(id[:])
	return base64.RawURLEncoding.EncodeToString(id[:])
}

// Format writes what is not secret, for every verb: neither the URL, which may have
// a password, nor a secret.
func (o Options) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, o.text()) }

// MarshalText returns what [Options.Format] writes, for log/slog and JSON.
func (o Options) MarshalText() ([]byte, error) { return []byte(o.text()), nil }

func (o Options) text() string {
	return fmt.Sprintf("fleet.Options{Name:%q Cluster:%t Policy:%+v}", o.Name, o.Cluster, o.Policy)
}

// Format writes the name of the type, for every verb: a Store holds the keys.
func (s *Store) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "fleet.Store") }

// MarshalText returns what [Store.Format] writes.
func (s *Store) MarshalText() ([]byte, error) { return []byte("fleet.Store"), nil }
