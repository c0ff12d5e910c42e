/* The shared key set and the two clocks of keys (keyring.go, fleetanswers.go).

   PERS takes a key back at some time. Two instances refresh their keys at the soft
   age, from the store where there is an answer that is young enough, or from PERS,
   and stop using them at the hard age. The store may lose the answer or give back
   an older one, and PERS may be away.

   To hold: HARD ticks after the key left PERS nobody uses it; and an instance that
   can reach PERS does not use it SOFT + 1 ticks after; and who had a set without
   the key does not get it back.

   Mutants, each of which spin must find:
     -DFRESH      an answer counts from when it was read, not from when PERS was asked
     -DOLDERWINS  an older answer takes the place of a newer one, in the store and here
     -DNOHARD     keys have no hard age
*/
#define N    2
#define SOFT 2
#define HARD 4

bool gone = false; byte since = 0; /* PERS no longer has the key; ticks since then */
bool down = false; byte up = 0;    /* PERS is away; ticks since it is not */

bool has[N]; byte age[N];          /* keys held have the old key; age of what is held */
bool knew[N];                      /* it had a set without the key once */
bool held[N];                      /* anything at all */
bool pending[N], askedHas[N]; byte askedAge[N]; /* an answer of PERS on its way to the store */

bool stored = false, storedHas = false; byte storedAge = 0;
bool kept = false, keptHas = false; byte keptAge = 0; /* what an attacker kept */
bool looked[N];

byte p;

#define sat(x) if :: x <= HARD + 1 -> x++ :: else fi

inline take(q, h, a) {
  if
#ifndef OLDERWINS
  :: held[q] && age[q] <= a -> skip
#endif
  :: else -> held[q] = true; has[q] = h; age[q] = a; knew[q] = (knew[q] || !h)
  fi
}

/* one look of an instance whose keys are due: the store, then PERS */
inline refresh(q) {
  if
  :: stored && storedAge < SOFT ->
#ifdef FRESH
       take(q, storedHas, 0)
#else
       take(q, storedHas, storedAge)
#endif
  :: else ->
       if
       :: !down -> held[q] = true; has[q] = !gone; age[q] = 0; knew[q] = (knew[q] || gone);
                   pending[q] = true; askedHas[q] = !gone; askedAge[q] = 0
       :: else
       fi
  fi;
  looked[q] = true
}

inline share(q) {
  if
#ifndef OLDERWINS
  :: stored && storedAge <= askedAge[q] -> skip
#endif
  :: else -> stored = true; storedHas = askedHas[q]; storedAge = askedAge[q]
  fi;
  pending[q] = false; askedHas[q] = false; askedAge[q] = 0
}

inline tick() {
  for (p : 0 .. N - 1) {
    assert(!(gone && since >= HARD && held[p] && has[p]
#ifndef NOHARD
             && age[p] < HARD
#endif
           ));
    assert(!(knew[p] && has[p]));
    assert(!(gone && since > SOFT && up > SOFT && held[p] && has[p] && age[p] < HARD));
    sat(age[p]);
    if :: pending[p] -> sat(askedAge[p]) :: else fi;
    looked[p] = false
  }
  p = 0;
  sat(storedAge);
  sat(keptAge);
  if :: gone -> sat(since) :: else fi;
  if :: !down -> sat(up) :: else fi
}

active proctype world() {
end:
  do
  :: atomic { (looked[0] || (held[0] && age[0] < SOFT)) && (looked[1] || (held[1] && age[1] < SOFT)) -> tick() }
  :: atomic { !looked[0] -> refresh(0) } /* due, or for a token with an unknown kid */
  :: atomic { !looked[1] -> refresh(1) }
  :: atomic { pending[0] -> share(0) }
  :: atomic { pending[1] -> share(1) }
  :: atomic { !gone -> gone = true }
  :: atomic { down = !down; up = 0 }
  :: atomic { stored -> stored = false; storedHas = false; storedAge = 0 }               /* evicted */
  :: atomic { stored && !kept -> kept = true; keptHas = storedHas; keptAge = storedAge } /* kept */
  :: atomic { kept -> stored = true; storedHas = keptHas; storedAge = keptAge }          /* and put back */
  od
}
