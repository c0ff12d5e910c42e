package persauth

// Revocations as entries of the fleet's log, and what an entry does to the deny
// list. An entry names what Revoke was given by the digest that the deny list uses;
// the names themselves go along for people, but for tokens.

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/persauth/persauth/internal/cache"
	"github.com/persauth/persauth/internal/clock"
	"github.com/persauth/persauth/internal/jose"
)

// longestEntry bounds how long the log keeps a revocation that is for good.
const longestEntry = 10 * 365 * 24 * time.Hour

// logBody is the body of an entry.
type logBody struct {
	Revoked bool        `json:"revoked"` // or taken back
	Mask    denyMask    `json:"mask"`
	Digest  tokenDigest `json:"digest"`
	// Before is the denial's, or clock.None for one that takes back all of the
	// names.
	Before clock.Instant `json:"before"`
	Until  clock.Instant `json:"until"`
	// Names say what was named, for people.
	Names FleetNames `json:"names"`
}

// FleetNames say what an entry of a fleet's log is about. A token is not in it.
type FleetNames struct {
	Revoked      bool      `json:"revoked"` // or taken back
	Token        bool      `json:"token,omitzero"`
	ID           string    `json:"id,omitzero"`
	Subject      string    `json:"subject,omitzero"`
	Session      string    `json:"session,omitzero"`
	Business     string    `json:"business,omitzero"`
	Tenant       string    `json:"tenant,omitzero"`
	KeyID        string    `json:"keyId,omitzero"`
	IssuedBefore time.Time `json:"issuedBefore,omitzero"`
}

// Names reads what an entry is about. The error says that the body is none of a
// Verifier.
func (e LogEntry) Names() (FleetNames, error) {
	var body logBody
	if err := json.Unmarshal(e.Body, &body); err != nil {
		return FleetNames{}, errors.New("an entry that no verifier wrote")
	}
	return body.Names, nil
}

// longestName bounds a name that goes along for people.
const longestName = 200

// logEntry is the entry for what r says, until then.
func (r *Revocation) logEntry(revoked bool, names *denyNames, before, until clock.Instant) (LogEntry, error) {
	short := func(s string) string {
		if len(s) > longestName {
			return s[:longestName]
		}
		return s
	}
	body := logBody{Revoked: revoked, Mask: names.mask(), Before: before, Until: until, Names: FleetNames{
		Revoked: revoked, Token: r.Token != "", ID: short(r.ID), Subject: short(r.Subject), Session: short(r.Session),
		Business: short(r.Business), Tenant: short(r.Tenant), KeyID: short(r.KeyID), IssuedBefore: r.IssuedBefore,
	}}
	body.Digest = names.digest(body.Mask)
	text, err := json.Marshal(body)
	if err != nil {
		return LogEntry{}, errors.New("persauth: a name that is no text")
	}
	return LogEntry{Key: body.key(), Until: until.Time(), Body: text}, nil
}

// key is what of several entries only the latest counts for.
func (b *logBody) key() [32]byte {
	id := append(b.Digest[:], byte(b.Mask))
	for i := range 8 {
		id = append(id, byte(b.Before>>(8*i)))
	}
	return digestToken(string(id))
}

// fleetDenials hold what the log says, and make it count in the deny list.
type fleetDenials struct {
	denied *denyList
	now    func() clock.Instant

	mu    sync.Mutex
	names map[tokenDigest]*fleetDenial
}

// fleetDenial is what the log says about the same names.
type fleetDenial struct {
	revoked map[clock.Instant]loggedDenial // by the time before which the tokens were issued
	undone  time.Time                      // when all of that was taken back
}

// loggedDenial is until when tokens are refused, and when that was published.
type loggedDenial struct {
	until clock.Instant
	at    time.Time
}

func newFleetDenials(denied *denyList, now func() clock.Instant) *fleetDenials {
	return &fleetDenials{denied: denied, now: now, names: make(map[tokenDigest]*fleetDenial)}
}

// apply makes an entry count that is the latest one with its key.
func (f *fleetDenials) apply(e LogEntry) error {
	var b logBody
	if err := json.Unmarshal(e.Body, &b); err != nil || b.key() != e.Key || b.Mask == 0 {
		return errors.New("an entry that no verifier of this version wrote")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	d := f.names[b.Digest]
	if d == nil {
		d = &fleetDenial{revoked: make(map[clock.Instant]loggedDenial)}
		f.names[b.Digest] = d
	}
	switch {
	case b.Before == clock.None && !b.Revoked:
		d.undone = e.At
		for before, l := range d.revoked {
			if !l.at.After(e.At) {
				f.remove(d, &b, before)
			}
		}
	case !b.Revoked:
		f.remove(d, &b, b.Before)
	case e.At.After(d.undone):
		d.revoked[b.Before] = loggedDenial{b.Until, e.At}
		f.denied.addDigest(b.Mask, b.Digest, denial{before: b.Before, until: b.Until}, f.now())
	}
	if len(d.revoked) == 0 && d.undone.IsZero() {
		delete(f.names, b.Digest)
	}
	return nil
}

// remove takes one denial back. The deny list keeps none that a wider one covers, so
// the others are said again. The caller holds mu.
func (f *fleetDenials) remove(d *fleetDenial, b *logBody, before clock.Instant) {
	delete(d.revoked, before)
	var others []denial
	for before, l := range d.revoked {
		others = append(others, denial{before: before, until: l.until})
	}
	f.denied.removeDigest(b.Digest, before, others...)
}

// RevokeInFleet is [Verifier.Revoke] for a program that verifies nothing, such as an
// operator's: all instances of the fleet refuse the tokens soon after it has returned
// nil. They read claims by their default names.
func RevokeInFleet(ctx context.Context, f Fleet, r Revocation) error {
	return publishInFleet(ctx, f, r, true)
}

// UnrevokeInFleet is [Verifier.Unrevoke] for such a program.
func UnrevokeInFleet(ctx context.Context, f Fleet, r Revocation) error {
	return publishInFleet(ctx, f, r, false)
}

func publishInFleet(ctx context.Context, f Fleet, r Revocation, revoked bool) error {
	names, err := r.names()
	if err != nil {
		return fmt.Errorf("persauth: revoke: %w", err)
	}
	cfg := Config{}.defaults()
	tree, err := claimTree(cfg.ClaimNames)
	if err != nil {
		return err
	}
	v := &Verifier{policy: cfg.claimPolicy(), tree: tree, headers: cache.NewBounded[*jose.Header](1), clocks: clock.New(nil)}
	now := v.clock()
	before, until := clock.Never, min(v.revokedUntil(r, now).Add(v.policy.leeway), now.Add(longestEntry))
	switch {
	case !r.IssuedBefore.IsZero():
		before = clock.Of(r.IssuedBefore)
	case !revoked:
		before = clock.None
	}
	if !revoked {
		until = now.Add(defaultRevocation)
	}
	e, err := r.logEntry(revoked, &names, before, until)
	if err != nil {
		return err
	}
	if _, err := f.Publish(ctx, []LogEntry{e}); err != nil {
		return &Error{Check: "fleet", Want: "to tell the instances", Got: "no answer of the store", Err: ErrUnavailable, Cause: err}
	}
	return nil
}
