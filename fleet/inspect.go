package fleet

// What a person sees of a fleet.

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/persauth/persauth"
)

// Report is the state of a fleet at one moment, by the clock of its store.
type Report struct {
	// Now is the time of the store.
	Now time.Time `json:"now"`
	// Members are the instances that were seen within an hour, the latest first.
	Members []Member `json:"members"`
	// Granted is how many calls of PERS were leased in this hour of the clock.
	Granted int `json:"granted"`
	// Paused is how long PERS must not be called, because it said so.
	Paused time.Duration `json:"paused"`
	// Entries is how many entries the log of revocations has.
	Entries uint64 `json:"entries"`
	// Latest are the latest entries of the log, the newest first.
	Latest []persauth.LogEntry `json:"latest"`
}

// Member is an instance.
type Member struct {
	// ID names the instance for as long as its process runs.
	ID string `json:"id"`
	// Seen is when it was heard of last. After 10 seconds it counts as gone.
	Seen time.Time `json:"seen"`
}

// Inspect returns the state of the fleet. It changes nothing, and does not make
// the caller a member. The latest are up to 20 entries.
func (s *Store) Inspect(ctx context.Context) (*Report, error) {
	reply, err := s.run(ctx, inspectScript, []string{s.keys.head, s.keys.members, s.keys.budget, s.keys.pause, s.keys.log}, nil)
	if err != nil {
		return nil, err
	}
	if len(reply) != 6 {
		return nil, errForged
	}
	ms, err1 := reply[0].AsInt64()
	raw, err2 := reply[1].ToString()
	members, err3 := reply[2].AsStrSlice()
	budget, err4 := reply[3].AsStrMap()
	pause, err5 := reply[4].AsInt64()
	entries, err6 := reply[5].ToArray()
	if errors.Join(err1, err2, err3, err4, err5, err6) != nil {
		return nil, errForged
	}
	r := &Report{Now: time.UnixMilli(ms), Members: []Member{}, Paused: time.Duration(max(pause, 0)) * time.Millisecond}
	for i := len(members) - 2; i >= 0; i -= 2 {
		seen, _ := strconv.ParseFloat(members[i+1], 64)
		r.Members = append(r.Members, Member{ID: members[i], Seen: time.UnixMilli(int64(seen))})
	}
	if budget["hour"] == strconv.FormatInt(ms/time.Hour.Milliseconds(), 10) {
		r.Granted, _ = strconv.Atoi(budget["granted"])
	}
	if raw == "" {
		return r, nil
	}
	plain, err := s.seal.open(forHead, s.headPlace(), []byte(raw))
	if err != nil {
		return nil, err
	}
	head, ok := parseHead(plain)
	if !ok {
		return nil, errForged
	}
	r.Entries = head.last + 1 - head.first
	for _, m := range entries {
		it, err := readItem(m)
		if err != nil {
			return nil, err
		}
		at := logHead{epoch: head.epoch, last: it.number - 1}
		copy(at.chain[:], it.before)
		entry, _, err := s.follow(at, it)
		if err != nil {
			return nil, err
		}
		r.Latest = append(r.Latest, entry)
	}
	return r, nil
}
