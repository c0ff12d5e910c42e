package fleet

// Writing the log: an entry more, a begin without those whose time is over, or a
// new log in place of one that is damaged.

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/persauth/persauth"
)

const (
	// trimmable is how many entries at the begin of the log are looked at when
	// one is appended, and trimAfter how long after their end they go.
	trimmable = 8
	trimAfter = time.Minute
	// compactEach is after how many entries the log is looked at for those
	// that a later one replaced.
	compactEach = 512
)

// restart begins the log again with those entries that are still good.
func (s *Store) restart(ctx context.Context, seen logView) error {
	var entries []persauth.LogEntry
	after := uint64(0)
	for {
		v, err := s.view(ctx, "", after, pageSize)
		if err != nil {
			return err
		}
		if v.raw != seen.raw {
			return errConflict
		}
		for _, m := range v.entries {
			it, err := readItem(m)
			if err != nil {
				continue
			}
			at := logHead{epoch: v.head.epoch, last: it.number - 1}
			copy(at.chain[:], it.before)
			if entry, _, err := s.follow(at, it); err == nil && entry.Until.After(v.now) {
				entries = append(entries, entry)
			}
			after = max(after, it.number)
		}
		if len(v.entries) < pageSize {
			break
		}
	}
	return s.begin(ctx, seen, entries)
}

var errConflict = errors.New("another instance was faster")

// begin replaces the log by a new one with these entries.
func (s *Store) begin(ctx context.Context, seen logView, entries []persauth.LogEntry) error {
	return s.append(ctx, seen.raw, newHead(), "reset", entries)
}

// append adds entries after head, which is sealed as raw in the store, or in its
// place where trim is "reset".
func (s *Store) append(ctx context.Context, raw string, head logHead, trim string, entries []persauth.LogEntry) error {
	args := []string{raw, "", trim, s.keys.notices, string(s.notice(persauth.FleetNotice{Kind: persauth.FleetPublished}))}
	for _, e := range entries {
		before := head
		sealed := s.seal.seal(forEntry, s.entryPlace(head), entryBytes(e))
		head = head.next(sealed)
		args = append(args, strconv.FormatUint(head.last, 10), string(before.chain[:]), string(sealed))
	}
	args[1] = string(s.seal.seal(forHead, s.headPlace(), head.bytes()))
	reply, err := s.run(ctx, appendScript, []string{s.keys.head, s.keys.log}, args)
	if err != nil {
		return err
	}
	if done, err := reply[0].AsInt64(); err != nil || done != 1 {
		return errConflict
	}
	return nil
}

// Publish implements [persauth.Fleet].
func (s *Store) Publish(ctx context.Context, entries []persauth.LogEntry) (time.Time, error) {
	for _, e := range entries {
		if len(e.Body) > persauth.MaxLogBody {
			return time.Time{}, fmt.Errorf("an entry of the log has more than %d bytes", persauth.MaxLogBody)
		}
	}
	var err error
	for try := range tries {
		var v logView
		// The entries before the first one are looked at for what may go.
		if v, err = s.view(ctx, "", 0, trimmable); err != nil {
			return time.Time{}, err
		}
		dated := make([]persauth.LogEntry, len(entries))
		for i, e := range entries {
			if dated[i] = e; e.At.IsZero() {
				dated[i].At = v.now
			}
		}
		if v.raw == "" {
			err = s.begin(ctx, v, dated)
		} else {
			head := v.head
			head.first = s.trimmed(v)
			err = s.append(ctx, v.raw, head, strconv.FormatUint(head.first, 10), dated)
		}
		if err == nil {
			if end := v.head.last + uint64(len(dated)); end/compactEach != v.head.last/compactEach {
				_ = s.compact(ctx) // it can wait for the next time
			}
			return v.now, nil
		}
		if !errors.Is(err, errConflict) {
			return time.Time{}, err
		}
		select {
		case <-ctx.Done():
			return time.Time{}, errConnecting
		case <-time.After(rand.N(time.Millisecond << min(try, 5))):
		}
	}
	return time.Time{}, err
}

// trimmed returns where the log may begin: after entries whose time is over.
func (s *Store) trimmed(v logView) uint64 {
	first := v.head.first
	for _, m := range v.entries {
		it, err := readItem(m)
		if err != nil || it.number != first {
			break
		}
		at := logHead{epoch: v.head.epoch, last: it.number - 1}
		copy(at.chain[:], it.before)
		entry, _, err := s.follow(at, it)
		if err != nil || entry.Until.Add(trimAfter).After(v.now) {
			break
		}
		first++
	}
	return first
}

// compact begins the log again without what later entries replaced and what is
// over, if that makes it half as long.
func (s *Store) compact(ctx context.Context) error {
	v, err := s.view(ctx, "", 0, trimmable)
	if err != nil {
		return err
	}
	page, err := s.whole(ctx, v)
	if err != nil {
		return err
	}
	latest := make(map[[32]byte]persauth.LogEntry, len(page.Entries))
	for _, e := range page.Entries {
		if before, ok := latest[e.Key]; !ok || e.Replaces(before) {
			latest[e.Key] = e
		}
	}
	var kept []persauth.LogEntry
	for _, e := range latest {
		if e.Until.After(v.now) {
			kept = append(kept, e)
		}
	}
	if 2*len(kept) > len(page.Entries) {
		return nil
	}
	if string(page.Position) != string(v.head.bytes()) {
		return errConflict // entries came meanwhile
	}
	return s.begin(ctx, v, kept)
}
