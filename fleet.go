package persauth

// The seam between a Verifier and what the instances of one tenant's services
// share: a budget of calls, revocations, answers of PERS, used proofs.

import (
	"bytes"
	"context"
	"errors"
	"time"
)

// Fleet is the state that the instances of one tenant's services share: one real
// implementation is on Valkey or Redis (package fleet), the other in memory, for
// tests ([persauthtest.NewFleet]).
//
// It helps and has no authority: a Verifier applies its own checks to all that
// comes back. An implementation authenticates what it stores, and returns nothing
// that somebody without the fleet's secret could have written, moved to another
// name, or made look younger than it is.
//
// All methods are safe for concurrent use and hold to their context. An error
// means that the store cannot be reached or not be believed; then an instance
// goes on alone.
//
// [persauthtest.NewFleet]: https://pkg.go.dev/github.com/persauth/persauth/persauthtest#NewFleet
type Fleet interface {
	// Policy says how a Verifier uses the fleet. It does no I/O.
	Policy() FleetPolicy

	// ReadLog tells the others that this instance runs, and reads what was
	// published after a position.
	ReadLog(ctx context.Context, after LogPosition) (LogPage, error)
	// Publish appends entries, at most [MaxLogBody] bytes each, and returns the
	// store's time, which entries without At get. Entries with At keep it.
	Publish(ctx context.Context, entries []LogEntry) (at time.Time, err error)

	// Lease takes calls of PERS out of the fleet's budget.
	Lease(ctx context.Context, ask LeaseRequest) (Lease, error)
	// Pause keeps all instances from calling PERS for d, as PERS asked.
	Pause(ctx context.Context, d time.Duration) error

	// Look finds an answer of PERS that an instance shared, or decides who asks.
	Look(ctx context.Context, name SharedName, ask LookRequest) (SharedAnswer, error)
	// Share hands an answer to all, at most [MaxShared] bytes. ticket is what
	// Look returned to the one who asks, and keep how long the answer is good
	// from then on. Of two answers under one name the one that was asked for
	// later stays. A nil body says that there was no answer: the next one may
	// ask.
	Share(ctx context.Context, name SharedName, ticket string, keep time.Duration, body []byte) error

	// ReplayStore claims the proofs of all instances, until a time by the
	// store's clock.
	ReplayStore

	// Watch calls notify for what happens in the fleet, from one goroutine,
	// until ctx ends or the connection breaks. Notices may be lost and may be
	// about nothing: they only save time.
	Watch(ctx context.Context, notify func(FleetNotice)) error
	// Leave tells the others that this instance stops.
	Leave(ctx context.Context) error
}

// FleetPolicy says how a [Verifier] uses its fleet. The zero value has the
// defaults.
type FleetPolicy struct {
	// MaxLag is how old the knowledge of revocations may get before
	// WhenBehind applies. Default 10 s, at least 1 s, at most 10 min.
	MaxLag time.Duration
	// WhenBehind says what happens to tokens then.
	WhenBehind WhenBehind
	// LocalProofs takes proofs (RFC 9449) by the memory of the instance alone
	// while the store is away. A proof is then good once at each instance.
	// Without it such requests get ErrUnavailable.
	LocalProofs bool
	// CallsPerHour is how many calls of PERS all instances make in an hour.
	// Default 9,400, at most 9,700: PERS allows 10,000, and up to ten seconds'
	// worth may be on lease when an hour begins.
	CallsPerHour int
	// Instances is how many instances share the budget while the store is away
	// and was never reached. Default: [Config.Instances], or 10.
	Instances int
	// Patience is how long a request waits for the store. Default 250 ms, at
	// most 5 s.
	Patience time.Duration
}

// WhenBehind says what happens to a token while the knowledge of revocations is
// older than [FleetPolicy.MaxLag].
type WhenBehind int

const (
	// BehindAsks asks PERS about each token, at most every 5 minutes, where
	// there is a project key to ask with, and is BehindRefuses elsewhere.
	BehindAsks WhenBehind = iota
	// BehindRefuses refuses with [ErrUnavailable].
	BehindRefuses
	// InsecureBehindAccepts goes on as an instance does that is alone: what the
	// fleet revoked meanwhile is accepted there until it expires, or PERS is
	// asked for another reason. It is for large fleets with short tokens, for
	// which the calls of PERS would not do.
	InsecureBehindAccepts
)

const (
	defaultMaxLag    = 10 * time.Second
	longestMaxLag    = 10 * time.Minute
	mostFleetCalls   = 9700
	defaultFleetSize = 10
	defaultPatience  = 250 * time.Millisecond
	longestPatience  = 5 * time.Second
)

// FleetCallsPerHour is the default of [FleetPolicy.CallsPerHour].
const FleetCallsPerHour = 9400

// MaxLogBody bounds [LogEntry.Body], and MaxShared an answer that is shared, both
// in bytes.
const (
	MaxLogBody = 4 << 10
	MaxShared  = 256 << 10
)

// LogPosition is a place in the log of revocations. Only its Fleet knows what it
// means. Empty: before the first entry.
type LogPosition string

// LogEntry is an entry of the log of revocations.
type LogEntry struct {
	// Key names what the entry is about. Of entries with one Key the one with
	// the latest At counts.
	Key [32]byte
	// At is when it was published, by the clock of the store.
	At time.Time
	// Until is when it may be dropped.
	Until time.Time
	// Body is for the Verifier. It names tokens and callers, so a Fleet does
	// not store it in the clear.
	Body []byte
}

// Replaces reports whether of two entries with one Key e is the one that counts: the
// later one. Of two at the same time all instances take the same one.
func (e LogEntry) Replaces(before LogEntry) bool {
	if c := e.At.Compare(before.At); c != 0 {
		return c > 0
	}
	return bytes.Compare(e.Body, before.Body) > 0
}

// LogPage is what ReadLog found.
type LogPage struct {
	// Entries are those after the position, or the whole log where Whole is
	// true: the position was empty, or its continuation is lost (the log was
	// trimmed, lost its last entries, or began again).
	Entries []LogEntry
	Whole   bool
	// Position is where to go on.
	Position LogPosition
	// Members is how many instances are known to run: at least 1.
	Members int
}

// CallPurpose is why PERS is called. Each has a share of the budget.
type CallPurpose string

// The purposes.
const (
	CallKeys            CallPurpose = "keys"
	CallUnknownKey      CallPurpose = "unknown_key"
	CallRemoteAlgorithm CallPurpose = "remote_algorithm"
	CallRevocation      CallPurpose = "revocation"
)

// LeaseRequest asks for calls of PERS.
type LeaseRequest struct {
	Purpose CallPurpose
	// Want is how many calls are wanted, at least 1.
	Want int
	// PerHour is the purpose's share of the calls of all instances, and Total
	// the whole. A minute's worth of each may come at once.
	PerHour, Total int
}

// Lease is a number of calls that may be made.
type Lease struct {
	// Calls may be fewer than wanted, and 0.
	Calls int
	// For is how long they are good, from the moment of the request: at most
	// [LongestLease]. Those that are not made until then lapse.
	For time.Duration
	// Wait is, with no Calls, how long it takes until one is to be had.
	Wait time.Duration
	// Paused says that PERS asked for the Wait.
	Paused bool
}

// LongestLease is how long a [Lease] is good at most.
const LongestLease = 10 * time.Second

// SharedName names an answer of PERS.
type SharedName struct {
	Kind   SharedKind
	Digest [32]byte
}

// SharedKind is what an answer is about.
type SharedKind string

// The kinds of shared answers.
const (
	SharedVerdict SharedKind = "verdict" // of /auth/verify, about one token
	SharedKeys    SharedKind = "keys"    // the tenant's key set
)

// LookRequest says what answer is wanted.
type LookRequest struct {
	// Within is how old the answer may be.
	Within time.Duration
	// Hold is how long others wait for the caller if it is the one to ask.
	Hold time.Duration
}

// SharedAnswer is what Look found: an answer, or who asks.
type SharedAnswer struct {
	// Body is the answer, nil where there is none.
	Body []byte
	// Age is how long ago PERS was asked for it: never less than it is.
	Age time.Duration
	// Ticket is not empty where the caller is the one to ask PERS. It is for
	// Share.
	Ticket string
	// Wait is, with neither, how long another instance may take to answer.
	Wait time.Duration
}

// FleetNotice tells that something happened.
type FleetNotice struct {
	// Kind is what happened.
	Kind FleetEvent
	// Name is the name of the answer, with FleetAnswered.
	Name SharedName
}

// FleetEvent is what a [FleetNotice] tells of.
type FleetEvent int

// The events.
const (
	FleetPublished FleetEvent = iota + 1 // the log has a new entry
	FleetAnswered                        // an answer was shared, or will not come
	FleetPaused                          // PERS asked for a pause
)

// defaults returns the policy with every default filled in. instances is
// Config.Instances.
func (p FleetPolicy) defaults(instances int) FleetPolicy {
	if p.MaxLag == 0 {
		p.MaxLag = defaultMaxLag
	}
	if p.CallsPerHour == 0 {
		p.CallsPerHour = FleetCallsPerHour
	}
	if p.Instances == 0 {
		if p.Instances = instances; p.Instances <= 1 {
			p.Instances = defaultFleetSize
		}
	}
	if p.Patience == 0 {
		p.Patience = defaultPatience
	}
	return p
}

// check returns what is wrong with the policy, after defaults.
func (p FleetPolicy) check() error {
	var wrong []error
	if p.MaxLag < time.Second || p.MaxLag > longestMaxLag {
		wrong = append(wrong, errors.New("Fleet: MaxLag is not between 1s and 10m"))
	}
	if p.WhenBehind < BehindAsks || p.WhenBehind > InsecureBehindAccepts {
		wrong = append(wrong, errors.New("Fleet: WhenBehind is none of the choices"))
	}
	if p.CallsPerHour < 60 || p.CallsPerHour > mostFleetCalls {
		wrong = append(wrong, errors.New("Fleet: CallsPerHour is not between 60 and 9,700"))
	}
	if p.Instances < 1 || p.Patience < 0 || p.Patience > longestPatience {
		wrong = append(wrong, errors.New("Fleet: Instances must be at least 1, and Patience at most 5s"))
	}
	return errors.Join(wrong...)
}
