package fleet

// The connection to the store: opened when it is first needed, tried again after
// a pause, and never waited for longer than the caller's context.

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/persauth/persauth"
	"github.com/redis/rueidis"
)

// Store is a [persauth.Fleet] on Valkey or Redis. Make one with [Open]. It is
// safe for concurrent use, also by several verifiers.
type Store struct {
	policy persauth.FleetPolicy
	client rueidis.ClientOption
	seal   *sealer
	member string
	prefix string
	keys   storeKeys
	// resealing: there is an OldSecret.
	resealing bool

	mu      sync.Mutex
	conn    rueidis.Client // nil: none yet
	dialing chan struct{}  // closed at the end of the attempt that is under way
	failed  error          // of the last attempt
	retry   time.Time      // when the next one may begin
	closed  bool
}

// storeKeys are the names of what a fleet has once. They share a hash tag, so
// that in a cluster one script may use them together.
type storeKeys struct{ head, log, members, budget, pause, notices string }

var _ persauth.Fleet = (*Store)(nil)

// Open makes a Store. It checks the options and does no I/O: a store that is away
// does not keep a service from starting.
func Open(o Options) (*Store, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("fleet: %w", err)
	}
	client, err := o.client()
	if err != nil {
		return nil, fmt.Errorf("fleet: %w", err)
	}
	seal, err := newSealer(&o)
	if err != nil {
		return nil, fmt.Errorf("fleet: %w", err)
	}
	s := &Store{policy: o.Policy, client: client, seal: seal, member: newMember(), resealing: len(o.OldSecret) > 0}
	s.prefix = "persauth:{" + text(seal.digest([]byte("fleet"), []byte(o.Name))) + "}"
	s.keys = storeKeys{s.prefix + ":head", s.prefix + ":log", s.prefix + ":members",
		s.prefix + ":budget", s.prefix + ":pause", s.prefix + ":notices"}
	return s, nil
}

// Policy returns Options.Policy.
func (s *Store) Policy() persauth.FleetPolicy { return s.policy }

// Close closes the connections. Afterwards every method fails.
func (s *Store) Close() {
	s.mu.Lock()
	conn := s.conn
	s.conn, s.closed, s.failed = nil, true, errClosed
	dialing := s.dialing
	s.mu.Unlock()
	if dialing != nil {
		<-dialing
	}
	if conn != nil {
		conn.Close()
	}
}

var (
	errClosed     = errors.New("the store is closed")
	errConnecting = errors.New("the store does not answer")
)

// dialPause is how long nobody tries to connect after an attempt that failed.
const dialPause = 500 * time.Millisecond

// connected returns the client. It waits for an attempt to connect as long as ctx
// allows, and fails at once soon after one that failed.
func (s *Store) connected(ctx context.Context) (rueidis.Client, error) {
	for {
		s.mu.Lock()
		switch {
		case s.closed:
			s.mu.Unlock()
			return nil, errClosed
		case s.conn != nil:
			conn := s.conn
			s.mu.Unlock()
			return conn, nil
		case s.dialing == nil && time.Now().Before(s.retry):
			err := s.failed
			s.mu.Unlock()
			return nil, err
		case s.dialing == nil:
			s.dialing = make(chan struct{})
			go s.dial(s.dialing)
		}
		dialing := s.dialing
		s.mu.Unlock()
		select {
		case <-dialing:
		case <-ctx.Done():
			return nil, errConnecting
		}
	}
}

// dial makes one attempt. It is not bound to the caller that caused it.
func (s *Store) dial(done chan struct{}) {
	conn, err := rueidis.NewClient(s.client)
	s.mu.Lock()
	s.dialing = nil
	switch {
	case err != nil:
		s.failed, s.retry = storeError(err), time.Now().Add(dialPause)
	case !s.closed:
		s.conn, conn = conn, nil
	}
	s.mu.Unlock()
	close(done)
	if err == nil && conn != nil {
		conn.Close()
	}
}

// run calls a script.
func (s *Store) run(ctx context.Context, script *rueidis.Lua, keys, args []string) ([]rueidis.RedisMessage, error) {
	conn, err := s.connected(ctx)
	if err != nil {
		return nil, err
	}
	reply, err := script.Exec(ctx, conn, keys, args).ToArray()
	if err != nil {
		return nil, storeError(err)
	}
	return reply, nil
}

// storeError is an error of the client without what others wrote: an address may
// come with a password, and a server's message may repeat what it was sent.
func storeError(err error) error {
	if reply, ok := rueidis.IsRedisErr(err); ok {
		for _, is := range []struct {
			says bool
			what string
		}{
			{reply.IsNil(), "an answer that is empty"},
			{says(reply, "NOAUTH", "WRONGPASS"), "the password is wrong"},
			{says(reply, "NOPERM"), "the user lacks a permission (ACL)"},
			{says(reply, "READONLY"), "a replica that is read-only"},
			{says(reply, "OOM"), "its memory is full (maxmemory)"},
			{says(reply, "MISCONF"), "it cannot write to its disk"},
			{says(reply, "LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN"), "it is starting or failing over"},
		} {
			if is.says {
				return fmt.Errorf("the store refused: %s", is.what)
			}
		}
		return errors.New("the store refused: an error of the server")
	}
	var network *net.OpError
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return fmt.Errorf("%w in time", errConnecting)
	case errors.As(err, &network) && network.Err != nil:
		return fmt.Errorf("the store cannot be reached: %s", network.Op)
	}
	return fmt.Errorf("the connection to the store broke (%T)", err)
}

func says(reply *rueidis.RedisError, codes ...string) bool {
	message := reply.Error()
	for _, code := range codes {
		if len(message) >= len(code) && message[:len(code)] == code {
			return true
		}
		// Of a script's error the code may come after its name.
		if i := len("ERR "); len(message) >= i+len(code) && message[i:i+len(code)] == code {
			return true
		}
	}
	return false
}
