package sidecar

// Metrics for Prometheus. The labels are names of routes and results, both from
// fixed sets: nothing that a client sends.

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/persauth/persauth"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

type metrics struct {
	registry  *prometheus.Registry
	decisions *prometheus.CounterVec
	duration  prometheus.Histogram
	reloads   *prometheus.CounterVec
	status    statusCollector
}

func newMetrics(connections func() int) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "persauth_decisions_total", Help: "Requests that were decided about, by route and result.",
		}, []string{"route", "result"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "persauth_decision_seconds", Help: "Time to a decision.",
			Buckets: []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .05, .25, 1, 5},
		}),
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "persauth_reloads_total", Help: "Reloads of the configuration, by result.",
		}, []string{"result"}),
	}
	for _, result := range []string{"ok", "failed"} {
		m.reloads.WithLabelValues(result)
	}
	m.registry.MustRegister(m.decisions, m.duration, m.reloads, &m.status,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "persauth_connections", Help: "Open connections.",
		}, func() float64 { return float64(connections()) }))
	return m
}

func (m *metrics) decided(route, result string, took time.Duration) {
	m.decisions.WithLabelValues(route, result).Inc()
	m.duration.Observe(took.Seconds())
}

func (m *metrics) reloaded(result string) { m.reloads.WithLabelValues(result).Inc() }

// statusCollector tells what the verifier of the moment says of itself.
type statusCollector struct {
	verifier atomic.Pointer[persauth.Verifier]
}

var (
	descReady      = prometheus.NewDesc("persauth_ready", "1 while there are keys to verify with.", nil, nil)
	descKeys       = prometheus.NewDesc("persauth_keys", "Usable keys.", nil, nil)
	descStale      = prometheus.NewDesc("persauth_keys_stale", "1 while a refresh of the keys is due.", nil, nil)
	descRefreshes  = prometheus.NewDesc("persauth_key_refreshes_total", "Refreshes of the keys that ended.", nil, nil)
	descFailures   = prometheus.NewDesc("persauth_key_refresh_failures_total", "Refreshes of the keys that failed.", nil, nil)
	descRemembered = prometheus.NewDesc("persauth_remembered_tokens", "Verified tokens that are remembered.", nil, nil)
	descAnswering  = prometheus.NewDesc("persauth_pers_answering", "1 while PERS answers questions about tokens, by purpose.", []string{"purpose"}, nil)
	descAsked      = prometheus.NewDesc("persauth_pers_calls_total", "Questions to PERS about tokens, by purpose.", []string{"purpose"}, nil)
	descFleet      = prometheus.NewDesc("persauth_fleet_reachable", "1 while the fleet's store answers.", nil, nil)
	descMembers    = prometheus.NewDesc("persauth_fleet_members", "Instances that are known to run.", nil, nil)
	descLag        = prometheus.NewDesc("persauth_fleet_lag_seconds", "How old the knowledge of the fleet's revocations is.", nil, nil)
	descBehind     = prometheus.NewDesc("persauth_fleet_behind", "1 while that is older than maxLag allows.", nil, nil)
	descLeased     = prometheus.NewDesc("persauth_fleet_calls_leased_total", "Calls of PERS that were leased, by purpose.", []string{"purpose"}, nil)
	descLimited    = prometheus.NewDesc("persauth_pers_rate_limited_total", "Calls of PERS that got a 429: those of the project key are used up.", []string{"purpose"}, nil)
)

func (c *statusCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descReady, descKeys, descStale, descRefreshes, descFailures, descRemembered, descAnswering, descAsked, descLimited,
		descFleet, descMembers, descLag, descBehind, descLeased} {
		ch <- d
	}
}

func (c *statusCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.verifier.Load().Status()
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	counter := func(d *prometheus.Desc, value uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), labels...)
	}
	gauge(descReady, oneIf(s.Ready))
	gauge(descKeys, float64(len(s.Keys.Keys)))
	gauge(descStale, oneIf(s.Keys.Stale))
	gauge(descRemembered, float64(s.CachedTokens))
	counter(descRefreshes, s.Counters.Keys.Refreshes)
	counter(descFailures, s.Counters.Keys.Failures)
	if s.Fleet != nil {
		gauge(descFleet, oneIf(s.Fleet.Reachable))
		gauge(descMembers, float64(s.Fleet.Members))
		gauge(descLag, s.Fleet.LagSeconds)
		gauge(descBehind, oneIf(s.Fleet.Behind))
		for purpose, leases := range s.Fleet.Leases {
			counter(descLeased, leases.Calls, string(purpose))
		}
	}
	if s.Remote == (persauth.RemoteStatus{}) {
		return // PERS is not asked
	}
	for purpose, remote := range s.Remote.ByPurpose() {
		if remote.Calls != (persauth.CallCounters{}) { // else nobody knows yet
			gauge(descAnswering, oneIf(remote.Answering), purpose)
		}
		counter(descAsked, remote.Calls.Asked, purpose)
		counter(descLimited, remote.Calls.RateLimited, purpose)
	}
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// adminHandler serves what is for operators, at an address of its own: paths of
// clients never lead here. stopping reports that no new requests should come.
func (e *endpoint) adminHandler(stopping *atomic.Bool) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(e.metrics.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		switch status := e.state.Load().verifier.Status(); {
		case stopping.Load():
			answer(w, http.StatusServiceUnavailable, "stopping")
		case !status.Ready:
			answer(w, http.StatusServiceUnavailable, "no keys to verify with")
		default:
			answer(w, http.StatusOK, "ready")
		}
	})
	return mux
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n"))
}
