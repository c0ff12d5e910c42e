/* The budget of calls, in leases (scripts/lease.lua, fleetleases.go).

   Time goes in ticks. The store grants RATE calls a tick, and up to BURST at once,
   by a generic cell rate algorithm; a lease is good for LEASE ticks. The store may
   fail over and forget what was granted (LOSSES times); while an instance is cut
   off it uses its share of the rate, and the store counts only those that it sees.

   To hold: in any WINDOW ticks no more calls are made than
       RATE * (WINDOW + LEASE) + BURST * (1 + losses).

   Mutants, each of which spin must find:
     -DNOLAPSE    a lease never lapses
     -DALLALONE   an instance that is cut off uses the whole rate
     -DNOPART     the store does not count out those that are cut off
*/
#define N      2
#define RATE   2
#define BURST  2
#define LEASE  1
#define WINDOW 2

byte level = 0;     /* granted and not yet drained, as a bucket that leaks */
byte losses = 0;
bool cut[N];
byte own[N];        /* calls of the own share, while cut off */
byte made[WINDOW];  /* calls of PERS, in this tick and the one before */
byte held[N];       /* calls on lease */
byte ticks[N];       /* ticks until they lapse */

inline call() {
  made[0]++;
  assert(made[0] + made[1] <= RATE * (WINDOW + LEASE) + BURST * (1 + losses))
}

active [N] proctype instance() {
end:
  do
  :: atomic { !cut[_pid] && held[_pid] == 0 && level < BURST -> held[_pid] = BURST - level; level = BURST; ticks[_pid] = LEASE }
  :: atomic { held[_pid] > 0 -> held[_pid]--; call() }
  :: atomic { cut[_pid] && own[_pid] > 0 -> own[_pid]--; call() }
  od
}

byte p, seen; /* for the tick alone */

inline tick() {
  seen = 0;
  for (p : 0 .. N - 1) {
    if
    :: cut[p] ->
#ifdef ALLALONE
         own[p] = RATE
#else
         own[p] = RATE / N
#endif
    :: else -> own[p] = 0; seen++
    fi;
#ifndef NOLAPSE
    if
    :: ticks[p] == 0 -> held[p] = 0
    :: else -> ticks[p]--
    fi
#endif
  }
#ifdef NOPART
  seen = N;
#endif
  level = (level > RATE * seen / N -> level - RATE * seen / N : 0);
  made[1] = made[0];
  made[0] = 0;
  p = 0; seen = 0
}

active proctype world() {
end:
  do
  :: atomic { true -> tick() }
  :: atomic { losses < 1 -> level = 0; losses++ } /* a failover with loss */
  :: atomic { cut[0] = !cut[0] }                  /* a partition comes or goes */
  :: atomic { cut[1] = !cut[1] }
  od
}
