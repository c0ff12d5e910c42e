package fleet

// Reading the log: from a position, or as a whole where it does not go on there.

import (
	"context"
	"errors"

	"github.com/persauth/persauth"
)

const (
	pageSize = 1000
	// tries is how often a change is tried that others may interfere with.
	tries = 12
)

// ReadLog implements [persauth.Fleet].
func (s *Store) ReadLog(ctx context.Context, after persauth.LogPosition) (persauth.LogPage, error) {
	at, known := parseHead([]byte(after))
	var err error
	for range tries {
		var v logView
		if v, err = s.view(ctx, s.member, at.last, pageSize); err != nil {
			return persauth.LogPage{}, err
		}
		if v.raw == "" {
			err = s.begin(ctx, v, nil) // nothing was published, or all is lost
			if err == nil || errors.Is(err, errConflict) {
				known = false
				continue
			}
			return persauth.LogPage{}, err
		}
		if known && v.head.epoch == at.epoch && v.head.last < at.last {
			// The store lost its last entries, or somebody put back an older
			// state: begin again, with what is left, so that everybody notices.
			if err = s.restart(ctx, v); err != nil && !errors.Is(err, errConflict) {
				return persauth.LogPage{}, err
			}
			known = false
			continue
		}
		if known && v.head.epoch == at.epoch {
			if page, ok := s.continued(ctx, at, v); ok {
				return page, nil
			}
		}
		var page persauth.LogPage
		page, err = s.whole(ctx, v)
		if err == nil && !known {
			s.reseal(ctx)
		}
		if !errors.Is(err, errDamaged) {
			return page, err
		}
		if err = s.restart(ctx, v); err != nil && !errors.Is(err, errConflict) {
			return persauth.LogPage{}, err
		}
	}
	return persauth.LogPage{}, err
}

// continued reads from a position up to the head. It is not ok where the log
// does not go on from there.
func (s *Store) continued(ctx context.Context, at logHead, v logView) (page persauth.LogPage, ok bool) {
	page.Members = v.members
	for {
		for _, m := range v.entries {
			it, err := readItem(m)
			if err != nil {
				return page, false
			}
			var entry persauth.LogEntry
			if entry, at, err = s.follow(at, it); err != nil {
				return page, false
			}
			page.Entries = append(page.Entries, entry)
		}
		if at.last >= v.head.last {
			break
		}
		var err error
		if len(v.entries) == 0 {
			return page, false
		}
		if v, err = s.view(ctx, "", at.last, pageSize); err != nil || v.head.epoch != at.epoch {
			return page, false
		}
	}
	if at.last != v.head.last || at.chain != v.head.chain {
		return page, false
	}
	page.Position = persauth.LogPosition(v.head.bytes())
	return page, true
}

// reseal begins the log again when something in it is protected with the OldSecret,
// which nobody will know soon.
func (s *Store) reseal(ctx context.Context) {
	if !s.resealing {
		return
	}
	v, err := s.view(ctx, "", 0, pageSize)
	if err != nil {
		return
	}
	for _, m := range v.entries {
		it, err := readItem(m)
		if err != nil {
			return
		}
		at := logHead{epoch: v.head.epoch, last: it.number - 1}
		copy(at.chain[:], it.before)
		if !s.seal.isCurrent(forEntry, s.entryPlace(at), it.sealed) {
			_ = s.restart(ctx, v) // or the next instance does
			return
		}
	}
}

// whole reads the log from its begin. The error is errDamaged where it is not
// what its head says.
func (s *Store) whole(ctx context.Context, v logView) (persauth.LogPage, error) {
	start := logHead{epoch: v.head.epoch, last: v.head.first - 1, first: v.head.first}
	members := v.members
	v, err := s.view(ctx, "", start.last, pageSize)
	if err != nil {
		return persauth.LogPage{}, err
	}
	if v.head.epoch != start.epoch || v.head.first != start.first {
		return persauth.LogPage{}, errDamaged // it changed meanwhile: the next try sees
	}
	if len(v.entries) > 0 {
		// The first entry is bound to its own predecessor, which is gone.
		it, err := readItem(v.entries[0])
		if err != nil {
			return persauth.LogPage{}, err
		}
		copy(start.chain[:], it.before)
	} else {
		start.chain = v.head.chain // an empty log, all of it trimmed
	}
	page, ok := s.continued(ctx, start, v)
	if !ok {
		return persauth.LogPage{}, errDamaged
	}
	page.Whole, page.Members = true, members
	return page, nil
}
