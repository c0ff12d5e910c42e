package fleet

// Notices: what is pushed to all instances, so that nobody need wait for a poll.

import (
	"context"

	"github.com/persauth/persauth"
	"github.com/redis/rueidis"
)

// notice is a notice as it is published.
func (s *Store) notice(n persauth.FleetNotice) []byte {
	plain := append([]byte{byte(n.Kind)}, n.Name.Digest[:]...)
	return s.seal.seal(forNotice, []byte(s.keys.notices), append(plain, n.Name.Kind...))
}

func (s *Store) parseNotice(message string) (n persauth.FleetNotice, ok bool) {
	plain, err := s.seal.open(forNotice, []byte(s.keys.notices), []byte(message))
	if err != nil || len(plain) < 1+len(n.Name.Digest) {
		return n, false
	}
	n.Kind = persauth.FleetEvent(plain[0])
	rest := plain[1:]
	rest = rest[copy(n.Name.Digest[:], rest):]
	n.Name.Kind = persauth.SharedKind(rest)
	return n, true
}

// Watch implements [persauth.Fleet].
func (s *Store) Watch(ctx context.Context, notify func(persauth.FleetNotice)) error {
	conn, err := s.connected(ctx)
	if err != nil {
		return err
	}
	err = conn.Receive(ctx, conn.B().Subscribe().Channel(s.keys.notices).Build(), func(m rueidis.PubSubMessage) {
		if n, ok := s.parseNotice(m.Message); ok {
			notify(n)
		}
	})
	if err != nil {
		return storeError(err)
	}
	return nil
}

// Leave implements [persauth.Fleet].
func (s *Store) Leave(ctx context.Context) error {
	conn, err := s.connected(ctx)
	if err != nil {
		return err
	}
	if err := conn.Do(ctx, conn.B().Zrem().Key(s.keys.members).Member(s.member).Build()).Error(); err != nil {
		return storeError(err)
	}
	return nil
}
