package fleet

// What is shared but for the log: answers of PERS, the budget, used proofs.

import (
	"context"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"strconv"
	"time"

	"github.com/persauth/persauth"
)

func millis(d time.Duration) string { return strconv.FormatInt(max(d.Milliseconds(), 0), 10) }

// answerKey is where an answer is.
func (s *Store) answerKey(name persauth.SharedName) string {
	return "persauth:" + text(s.seal.digest([]byte(s.prefix), []byte(name.Kind), name.Digest[:]))
}

// stampSize is that of what comes before an answer: when it was asked for, by the
// clocks of the store and of the instance, in microseconds, and how long it is
// good, in milliseconds.
const stampSize = 24

// stamp is a ticket of Look, and the begin of an answer.
type stamp struct{ store, instance, keep int64 }

func (a stamp) bytes() []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(a.store))
	b = binary.BigEndian.AppendUint64(b, uint64(a.instance))
	return binary.BigEndian.AppendUint64(b, uint64(a.keep))
}

func parseStamp(b []byte) (a stamp, rest []byte, ok bool) {
	if len(b) < stampSize {
		return a, nil, false
	}
	a.store = int64(binary.BigEndian.Uint64(b))
	a.instance = int64(binary.BigEndian.Uint64(b[8:]))
	a.keep = int64(binary.BigEndian.Uint64(b[16:]))
	return a, b[stampSize:], true
}

// age is how old an answer is: what the clock of the store says, which whoever
// owns the store may set, and at least what our own says, which differs from that
// of the instance that asked.
func (a stamp) age(storeNow int64, now time.Time) time.Duration {
	return time.Duration(max(storeNow-a.store, now.UnixMicro()-a.instance, 0)) * time.Microsecond
}

// Look implements [persauth.Fleet].
func (s *Store) Look(ctx context.Context, name persauth.SharedName, ask persauth.LookRequest) (persauth.SharedAnswer, error) {
	key := s.answerKey(name)
	for _, noAnswer := range []string{"0", "1"} {
		before := time.Now()
		reply, err := s.run(ctx, lookScript, []string{key}, []string{millis(ask.Within), millis(ask.Hold), noAnswer})
		if err != nil {
			return persauth.SharedAnswer{}, err
		}
		if len(reply) < 2 {
			return persauth.SharedAnswer{}, errForged
		}
		what, err1 := reply[0].ToString()
		number, err2 := reply[1].ToString()
		n, err3 := strconv.ParseInt(number, 10, 64)
		if errors.Join(err1, err2, err3) != nil {
			return persauth.SharedAnswer{}, errForged
		}
		switch what {
		case "ask":
			return persauth.SharedAnswer{Ticket: string(stamp{store: n, instance: before.UnixMicro()}.bytes())}, nil
		case "wait":
			return persauth.SharedAnswer{Wait: min(time.Duration(n)*time.Millisecond, ask.Hold)}, nil
		}
		if len(reply) != 3 {
			return persauth.SharedAnswer{}, errForged
		}
		value, _ := reply[2].ToString()
		plain, err := s.seal.open(forAnswer, []byte(key), []byte(value))
		if err != nil {
			continue // not one of ours: ask as if there were none
		}
		stamp, body, ok := parseStamp(plain)
		age := stamp.age(n, time.Now())
		if ok && age <= ask.Within && age <= time.Duration(stamp.keep)*time.Millisecond {
			return persauth.SharedAnswer{Body: body, Age: age}, nil
		}
	}
	return persauth.SharedAnswer{}, errForged
}

// Share implements [persauth.Fleet].
func (s *Store) Share(ctx context.Context, name persauth.SharedName, ticket string, keep time.Duration, body []byte) error {
	stamp, _, ok := parseStamp([]byte(ticket))
	if !ok {
		return errors.New("a ticket that is none of Look")
	}
	if len(body) > persauth.MaxShared {
		return errors.New("an answer that is too large to share")
	}
	key := s.answerKey(name)
	stamp.keep = keep.Milliseconds()
	var value []byte
	if body != nil {
		value = s.seal.seal(forAnswer, []byte(key), append(stamp.bytes(), body...))
	}
	notice := s.notice(persauth.FleetNotice{Kind: persauth.FleetAnswered, Name: name})
	_, err := s.run(ctx, shareScript, []string{key}, []string{strconv.FormatInt(stamp.store, 10), millis(keep),
		string(value), s.keys.notices, string(notice)})
	return err
}

// Lease implements [persauth.Fleet].
func (s *Store) Lease(ctx context.Context, ask persauth.LeaseRequest) (persauth.Lease, error) {
	for _, noPause := range []string{"0", "1"} {
		reply, err := s.run(ctx, leaseScript, []string{s.keys.budget, s.keys.pause, s.keys.members},
			[]string{string(ask.Purpose), strconv.Itoa(ask.Want), strconv.Itoa(ask.PerHour), strconv.Itoa(ask.Total), noPause})
		if err != nil {
			return persauth.Lease{}, err
		}
		if len(reply) != 3 {
			return persauth.Lease{}, errForged
		}
		calls, err1 := reply[0].AsInt64()
		micros, err2 := reply[1].AsInt64()
		pause, err3 := reply[2].ToString()
		if errors.Join(err1, err2, err3) != nil {
			return persauth.Lease{}, errForged
		}
		wait := time.Duration(micros) * time.Microsecond
		if pause == "" {
			// What the store says is bounded by what was asked for.
			return persauth.Lease{Calls: min(max(int(calls), 0), ask.Want), For: persauth.LongestLease, Wait: min(wait, time.Hour)}, nil
		}
		if plain, err := s.seal.open(forPause, []byte(s.keys.pause), []byte(pause)); err == nil && len(plain) == 8 {
			longest := time.Duration(binary.BigEndian.Uint64(plain)) * time.Millisecond
			return persauth.Lease{Wait: min(wait, longest), Paused: true}, nil
		}
	}
	return persauth.Lease{}, errForged
}

// longestPause is the longest that PERS can ask for.
const longestPause = 5 * time.Minute

// Pause implements [persauth.Fleet].
func (s *Store) Pause(ctx context.Context, d time.Duration) error {
	d = min(d, longestPause)
	value := s.seal.seal(forPause, []byte(s.keys.pause), binary.BigEndian.AppendUint64(nil, uint64(d.Milliseconds())))
	_, err := s.run(ctx, pauseScript, []string{s.keys.pause},
		[]string{millis(max(d, time.Millisecond)), string(value), s.keys.notices, string(s.notice(persauth.FleetNotice{Kind: persauth.FleetPaused}))})
	return err
}

// subjectProofs is how many proofs of one subject are kept, for as long as the
// first of them: what one client can take of the store's memory.
const subjectProofs = 6000

var errSubjectFull = errors.New("the token's subject has its share of the memory of used proofs")

// Claim implements [persauth.ReplayStore]. It is one round trip.
func (s *Store) Claim(ctx context.Context, p persauth.UsedProof) (first bool, err error) {
	// One hash tag, so that a cluster has both where one script can use them.
	subject := "persauth:{" + text(s.seal.digest([]byte(s.prefix), []byte("subject"), p.Subject[:])) + "}"
	key := subject + text(s.seal.digest([]byte(s.prefix), []byte("proof"), p.ID[:]))
	value := mac(s.seal.proofs, []byte(key))[:16]
	reply, err := s.run(ctx, claimScript, []string{key, subject},
		[]string{strconv.FormatInt(p.Until.UnixMilli(), 10), string(value), strconv.Itoa(subjectProofs)})
	if err != nil {
		return false, err
	}
	before, err := reply[0].ToString()
	switch {
	case err != nil:
		return false, errForged
	case before == "":
		return true, nil
	case before == "full":
		return false, errSubjectFull
	case subtle.ConstantTimeCompare([]byte(before), value) != 1:
		return false, errForged
	}
	return false, nil
}
