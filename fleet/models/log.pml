/* The log of revocations (log.go, fleetmember.go): numbered, chained, trimmed,
   with a store that fails over and loses its last entries, and a reader that is
   cut off.

   Instance 0 revokes, and puts back what the log lacks; instance 1 only reads.
   Both look at the log once a tick; instance 1 not while it is cut off. The store
   does not fail over again while what it lost is being put back.

   To hold: MAXLAG ticks after Revoke returned, an instance that does not know of
   the revocation knows that its knowledge may be older than MAXLAG.

   Mutants, each of which spin must find:
     -DNOCHAIN    a reader compares numbers only, so that a log that lost an entry
                  and got another one looks as if it went on
     -DNOHEAL     nobody puts back what got lost
     -DNOSETTLE   a reader that was away trusts the first look, before others have
                  put back what got lost meanwhile
     -DNOMARGIN   a reader that is cut off after it looked at a log that had lost an
                  entry, and before that was put back, counts from that look
     -DNOLAG      a reader that cannot look does not get older
     -DTRIMEARLY  the log is trimmed before an entry has ended
*/
#define R      2 /* revocations */
#define MAX    4 /* entries in the log */
#define MAXLAG 4
#define SETTLE 2

#ifdef NOMARGIN
#define MARGIN 0
#else
#define MARGIN 2
#endif
#ifdef NOCHAIN
#define SAMECHAIN true
#else
#define SAMECHAIN (posChain[p] == chain)
#endif
#ifdef TRIMEARLY
#define MAYGO true
#else
#define MAYGO ended[log[first]]
#endif

byte log[MAX], first = 0, size = 0;
bit epoch = 0; byte losses = 0, quiet = 0; /* ticks until it may fail over again */

bool revoked[R], ended[R];
byte age[R];

bool cut = false;
bool polled[2];
bool away[2];            /* the last look failed */
byte know[2], logged[2]; /* sets of revocations */
bit posEpoch[2];
byte posLen[2], posChain[2];
byte lag[2], settle[2];

byte i, chain, k; /* for one step alone */

/* chain is over the entries before n: what a hash of them would tell apart */
inline prefix(n) {
  chain = 0;
  i = 0;
  do
  :: i < n -> chain = chain * (R + 1) + log[i] + 1; i++
  :: else -> break
  od;
  i = 0
}

inline append(r) {
  assert(size < MAX);
  log[size] = r;
  size++
}

inline look(p) {
  prefix(posLen[p]);
  if
  :: posEpoch[p] == epoch && posLen[p] <= size && posLen[p] >= first && SAMECHAIN -> i = posLen[p]
  :: else ->
       if
       :: posEpoch[p] == epoch && posLen[p] > size -> epoch = 1 - epoch /* it lost entries */
       :: else
       fi;
       logged[p] = 0;
#ifndef NOSETTLE
       settle[p] = SETTLE;
#endif
       i = first
  fi;
  do
  :: i < size -> know[p] = know[p] | (1 << log[i]); logged[p] = logged[p] | (1 << log[i]); i++
  :: else -> break
  od;
  posEpoch[p] = epoch;
  posLen[p] = size;
  prefix(size);
  posChain[p] = chain;
  chain = 0;
#ifndef NOSETTLE
  if
  :: away[p] -> settle[p] = SETTLE
  :: else
  fi;
#endif
  away[p] = false;
  if
  :: settle[p] == 0 -> lag[p] = 0
  :: else
  fi;
  polled[p] = true
}

inline heal() {
  k = 0;
#ifndef NOHEAL
  do
  :: k < R ->
       if
       :: revoked[k] && !ended[k] && (know[0] & (1 << k)) && !(logged[0] & (1 << k)) && size < MAX -> append(k)
       :: else
       fi;
       k++
  :: else -> break
  od;
#endif
  k = 0
}

inline tick() {
  k = 0;
  do
  :: k < R ->
       assert(!revoked[k] || ended[k] || age[k] <= MAXLAG || (know[1] & (1 << k)) || lag[1] > MAXLAG - MARGIN);
       if
       :: revoked[k] && age[k] <= MAXLAG -> age[k]++
       :: else
       fi;
       k++
  :: else -> break
  od;
  k = 0;
#ifndef NOLAG
  if :: lag[1] <= MAXLAG -> lag[1]++ :: else fi;
#endif
  if :: quiet > 0 -> quiet-- :: else fi;
  if :: settle[0] > 0 -> settle[0]-- :: else fi;
  if :: settle[1] > 0 -> settle[1]-- :: else fi;
  polled[0] = false;
  polled[1] = false
}

active proctype world() {
end:
  do
  :: atomic { polled[0] && (polled[1] || cut) -> away[1] = (away[1] || !polled[1]); tick() }
  :: atomic { !polled[0] -> look(0); heal() }
  :: atomic { !polled[1] && !cut -> look(1) }
  :: atomic { cut = !cut }
  :: atomic { losses < 2 && quiet == 0 && size > first -> quiet = SETTLE + 2; size--; log[size] = 0; losses++ }
  :: atomic { losses < 2 && quiet == 0 && size > first + 1 -> quiet = SETTLE + 2; size = size - 2; log[size] = 0; log[size + 1] = 0; losses++ }
  :: atomic { !revoked[0] && size < MAX -> revoked[0] = true; know[0] = know[0] | 1; append(0) }
  :: atomic { revoked[0] && !revoked[1] && size < MAX -> revoked[1] = true; know[0] = know[0] | 2; append(1) }
  :: atomic { revoked[0] && !ended[0] && age[0] > MAXLAG -> ended[0] = true }
  :: atomic { size > first && MAYGO -> first++ }
  od
}
