package fleet

// The log of revocations. Its head is one sealed value that says where the log
// begins and ends; every change replaces the head it saw, or fails. Each entry is
// sealed for its epoch, its number and the entry before it, so the store can
// neither change, move, leave out nor put back one without being noticed.

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strconv"
	"time"

	"github.com/persauth/persauth"
	"github.com/redis/rueidis"
)

const (
	epochSize = 16
	headSize  = epochSize + 8 + 8 + sha256.Size
)

// logHead is the end of the log, and where it begins. It is also a position.
type logHead struct {
	epoch [epochSize]byte   // changes when the log begins again
	last  uint64            // the number of the last entry; the first one was 1
	first uint64            // the number of the oldest entry that is still there
	chain [sha256.Size]byte // over all entries up to last
}

func newHead() (h logHead) {
	rand.Read(h.epoch[:])
	h.first = 1
	return h
}

func (h logHead) bytes() []byte {
	b := make([]byte, 0, headSize)
	b = append(b, h.epoch[:]...)
	b = binary.BigEndian.AppendUint64(b, h.last)
	b = binary.BigEndian.AppendUint64(b, h.first)
	return append(b, h.chain[:]...)
}

func parseHead(b []byte) (h logHead, ok bool) {
	if len(b) != headSize {
		return h, false
	}
	copy(h.epoch[:], b)
	h.last = binary.BigEndian.Uint64(b[epochSize:])
	h.first = binary.BigEndian.Uint64(b[epochSize+8:])
	copy(h.chain[:], b[epochSize+16:])
	return h, true
}

// next is the head after one more entry.
func (h logHead) next(sealed []byte) logHead {
	h.last++
	h.chain = sha256.Sum256(append(append([]byte{}, h.chain[:]...), sealed...))
	return h
}

// entryPlace is what the entry after h is bound to.
func (s *Store) entryPlace(h logHead) []byte {
	place := append([]byte(s.prefix), h.epoch[:]...)
	place = binary.BigEndian.AppendUint64(place, h.last+1)
	return append(place, h.chain[:]...)
}

func (s *Store) headPlace() []byte { return []byte(s.keys.head) }

// logView is the log as one reply shows it.
type logView struct {
	now     time.Time
	members int
	raw     string  // the sealed head; empty: there is no log
	head    logHead // opened
	entries []rueidis.RedisMessage
}

// view reads the log after a number. member is empty where nobody is to be
// counted.
func (s *Store) view(ctx context.Context, member string, after uint64, count int) (v logView, err error) {
	reply, err := s.run(ctx, readScript, []string{s.keys.head, s.keys.log, s.keys.members},
		[]string{member, strconv.FormatUint(after, 10), strconv.Itoa(count)})
	if err != nil {
		return v, err
	}
	if len(reply) != 4 {
		return v, errForged
	}
	now, err1 := reply[0].AsInt64()
	members, err2 := reply[1].AsInt64()
	raw, err3 := reply[2].ToString()
	entries, err4 := reply[3].ToArray()
	if errors.Join(err1, err2, err3, err4) != nil {
		return v, errForged
	}
	v = logView{now: time.UnixMicro(now), members: max(int(members), 1), raw: raw, entries: entries}
	if raw == "" {
		return v, nil
	}
	plain, err := s.seal.open(forHead, s.headPlace(), []byte(raw))
	if err != nil {
		return v, err
	}
	var ok bool
	if v.head, ok = parseHead(plain); !ok {
		return v, errForged
	}
	return v, nil
}

// errDamaged says that the log is not what its head says.
var errDamaged = errors.New("the log of revocations is damaged")

// item is an entry as it is stored.
type item struct {
	number         uint64
	before, sealed []byte
}

func readItem(m rueidis.RedisMessage) (it item, err error) {
	x, err := m.AsXRangeEntry()
	if err != nil {
		return it, errDamaged
	}
	id, _, _ := bytes.Cut([]byte(x.ID), []byte("-"))
	it.number, err = strconv.ParseUint(string(id), 10, 64)
	it.before, it.sealed = []byte(x.FieldValues["p"]), []byte(x.FieldValues["e"])
	if err != nil || len(it.before) != sha256.Size {
		return it, errDamaged
	}
	return it, nil
}

// follow opens the entry that comes after at, and returns the place after it.
func (s *Store) follow(at logHead, it item) (persauth.LogEntry, logHead, error) {
	if it.number != at.last+1 || !bytes.Equal(it.before, at.chain[:]) {
		return persauth.LogEntry{}, at, errDamaged
	}
	plain, err := s.seal.open(forEntry, s.entryPlace(at), it.sealed)
	if err != nil {
		return persauth.LogEntry{}, at, errDamaged
	}
	entry, ok := parseEntry(plain)
	if !ok {
		return persauth.LogEntry{}, at, errDamaged
	}
	return entry, at.next(it.sealed), nil
}

func entryBytes(e persauth.LogEntry) []byte {
	b := append([]byte{}, e.Key[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(e.At.UnixMicro()))
	b = binary.BigEndian.AppendUint64(b, uint64(e.Until.UnixMicro()))
	return append(b, e.Body...)
}

func parseEntry(b []byte) (e persauth.LogEntry, ok bool) {
	if len(b) < len(e.Key)+16 {
		return e, false
	}
	b = b[copy(e.Key[:], b):]
	e.At = time.UnixMicro(int64(binary.BigEndian.Uint64(b)))
	e.Until = time.UnixMicro(int64(binary.BigEndian.Uint64(b[8:])))
	e.Body = bytes.Clone(b[16:])
	return e, true
}
