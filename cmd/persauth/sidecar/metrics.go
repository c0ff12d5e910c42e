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
	descLimited    = prometheus.NewDesc("persauth_pers_rate_limited_total", "Calls of PERS that got a 429: those of the project key are used up.", []string{"purpose"}, nil)
)

func (c *statusCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descReady, descKeys, descStale, descRefreshes, descFailures, descRemembered, descAnswering, descAsked, descLimited} {
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
