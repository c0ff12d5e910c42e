package persauth_test

// Many instances through some hours with a rotation, a deploy that restarts all, a
// flood of strangers, an outage of PERS and one of the store. What all of them
// together ask of PERS must stay under its limit, and known callers must not notice.
//
// PERSAUTH_FLEET_INSTANCES and PERSAUTH_FLEET_HOURS make it larger;
// PERSAUTH_FLEET_ALONE=1 does without the fleet, for the figure beside it.

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/require"
)

// callMeter counts the requests to PERS, by minute.
type callMeter struct {
	http.RoundTripper
	begin time.Time

	mu      sync.Mutex
	minutes map[int]int
}

func (m *callMeter) RoundTrip(r *http.Request) (*http.Response, error) {
	m.mu.Lock()
	m.minutes[int(time.Since(m.begin)/time.Minute)]++
	m.mu.Unlock()
	return m.RoundTripper.RoundTrip(r)
}

// worstHour is the largest number of calls in any 60 minutes in a row.
func (m *callMeter) worstHour() (worst int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for first := range m.minutes {
		sum := 0
		for i := range 60 {
			sum += m.minutes[first+i]
		}
		worst = max(worst, sum)
	}
	return worst
}

func intFromEnv(name string, usual int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return usual
}

func TestFleetSimulation(t *testing.T) {
	n, hours := intFromEnv("PERSAUTH_FLEET_INSTANCES", 30), intFromEnv("PERSAUTH_FLEET_HOURS", 3)
	alone := os.Getenv("PERSAUTH_FLEET_ALONE") != ""
	synctest.Test(t, func(t *testing.T) {
		iss := persauthtest.NewIssuer(t, persauthtest.WithAlgorithms("EdDSA"))
		pers := persauthtest.NewServer(t, iss, persauthtest.InMemory())
		fleet := persauthtest.NewFleet(t, n)
		fleet.SetPolicy(persauth.FleetPolicy{WhenBehind: persauth.InsecureBehindAccepts})
		meter := &callMeter{RoundTripper: pers.Client().Transport, begin: time.Now(), minutes: make(map[int]int)}
		forger, err := persauthtest.NewKey("nobody knows it", "EdDSA", "forger")
		require.NoError(t, err)
		random := rand.New(rand.NewPCG(1, 2))
		start := func(i int) *persauth.Verifier {
			cfg := pers.Config(func(cfg *persauth.Config) {
				cfg.HTTPClient = &http.Client{Transport: meter}
				if !alone {
					cfg.Fleet = fleet.Instance(i)
				}
			})
			v, err := persauth.New(cfg)
			require.NoError(t, err)
			return v
		}
		all := make([]*persauth.Verifier, n)
		for i := range all {
			all[i] = start(i)
		}
		tokens := make([]string, 4*n)
		minted := make([]time.Time, len(tokens))
		wrong, unanswered, answered, strangers := 0, 0, 0, 0
		downPERS, downStore := false, false
		minutes := 60 * hours
		for minute := range minutes {
			switch minute {
			case minutes * 2 / 10: // a rotation
				iss.Rotate()
			case minutes * 5 / 10:
				pers.Fault(persauthtest.EndpointAll, persauthtest.Status(500))
				downPERS = true
			case minutes*5/10 + 10:
				pers.Heal()
				downPERS = false
			case minutes * 7 / 10:
				fleet.SetDown(true)
				downStore = true
			case minutes*7/10 + 10:
				fleet.SetDown(false)
				downStore = false
			}
			for i := range all {
				if deploy := minute - minutes*3/10; deploy >= 0 && deploy < 10 && i*10/n == deploy {
					all[i].Close()
					all[i] = start(i)
				}
				for range 2 { // callers who are known
					c := random.IntN(len(tokens))
					if time.Since(minted[c]) > 14*time.Minute {
						tokens[c], minted[c] = iss.Token(map[string]any{"sub": strconv.Itoa(c)}), time.Now()
					}
					_, err := all[i].Verify(t.Context(), tokens[c])
					switch {
					case err == nil:
						answered++
					case errors.Is(err, persauth.ErrUnavailable):
						unanswered++
						t.Logf("minute %d, instance %d, PERS down %v, store down %v: %v", minute, i, downPERS, downStore, err)
					default:
						wrong++
					}
				}
				for range 2 { // strangers
					_, err := all[i].Verify(t.Context(), iss.TokenBy(forger, map[string]any{"sub": somebody()}))
					strangers++
					if err == nil {
						wrong++
					}
				}
			}
			time.Sleep(time.Minute)
			if t.Failed() {
				break
			}
		}
		for _, v := range all {
			v.Close()
		}
		t.Logf("%d instances, %d hours, fleet %v: %d known callers answered, %d not, %d strangers; calls of PERS in the worst hour: %d", n, hours, !alone, answered, unanswered, strangers, meter.worstHour())
		require.Zero(t, wrong)
		if !alone {
			require.Zero(t, unanswered)
			require.LessOrEqual(t, meter.worstHour(), 10_000)
		}
	})
}
