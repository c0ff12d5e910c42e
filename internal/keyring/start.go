package keyring

import (
	"github.com/persauth/persauth/internal/clock"
	"github.com/persauth/persauth/internal/jose"
)

// The keys to start with: those of the snapshot, or those that came with the service.

// Begin installs the keys to start with: the snapshot where it can be used,
// otherwise those that came with the service.
func (k *Ring) Begin(seed *jose.KeySet, source string, now clock.Instant) {
	remote := k.origin != nil && k.origin.Name() == Remote
	var set *Set
	if k.snapshot != nil {
		index, fetched, err := k.snapshot.load(now, k.times.Hard)
		if err != nil {
			k.log.Warn("persauth: keys from before the last stop cannot be used", "error", err)
		} else if index != nil {
			set = k.times.set(index, "snapshot", fetched, 0)
		}
		if set != nil && !remote {
			k.origin = nil // where the snapshot is used, Keys are not
		}
	}
	if set == nil && seed != nil {
		set = k.times.set(seed, source, now, 0)
		if remote {
			k.date(set, now)
		}
	}
	if set == nil {
		return
	}
	if remote {
		// PERS may have changed its keys while nobody asked.
		set.due, set.Soft = now, now
	}
	set.worn = k.elapsed() + set.Hard - now
	k.install(set)
}

// date notes how old a seed is. It can be used for as long as others from now on, as
// it is there for starts without PERS.
func (k *Ring) date(seed *Set, now clock.Instant) {
	fetched, dated := seedDate(seed.Body)
	if !dated {
		return
	}
	if at := clock.Of(fetched); at <= now.Add(clockTolerance) {
		seed.Loaded = min(at, now)
		seed.Outdated = now >= at.Add(k.times.Hard)
	} else {
		seed.Outdated = true // a date from the future says nothing
	}
	if seed.Outdated {
		k.log.Warn("persauth: the keys that came with the service are older than keys may get", "fetched", seed.Loaded.String())
	}
}
