// Package sidecar answers a proxy whether a request may go on: nginx with
// auth_request, Traefik with ForwardAuth, Caddy with forward_auth, Envoy with the
// HTTP service of ext_authz. So a service in any language can stand behind the
// verifier.
//
// This file holds its life: start, reload, stop.
package sidecar

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/persauth/persauth"
	"golang.org/x/time/rate"
)

const (
	// readHeaderTime bounds how long a request takes to come: those who ask are
	// next to us.
	readHeaderTime = 5 * time.Second
	readTime       = 10 * time.Second
	// writeTime is more than the verifier takes when PERS is slow.
	writeTime = 30 * time.Second
	// idleTime is more than the 60 s after which nginx closes connections that
	// it keeps, so that it is never we who close one that is just being used.
	idleTime = 2 * time.Minute
	// stopTime is how long requests have that are under way at the end.
	stopTime = 10 * time.Second

	// keysTime is how often keys are looked after that nobody asks for, and
	// noKeysTime the same while there are none.
	keysTime   = 30 * time.Second
	noKeysTime = 2 * time.Second

	// warmTime is how long a new configuration has to get its keys.
	warmTime = 10 * time.Second

	adminConnections = 64
)

// Options say how a sidecar runs.
type Options struct {
	// Config is the path of the configuration.
	Config string
	// Addr and MetricsAddr, where not empty, take the place of the
	// configuration's.
	Addr, MetricsAddr string
	// Getenv reads the environment.
	Getenv func(string) string
	// Log is where lines of JSON go.
	Log io.Writer
	// Reload makes the sidecar read its configuration again. nil: never.
	Reload <-chan os.Signal
	// Started, where not nil, is told the addresses that are served.
	Started func(addr, metricsAddr net.Addr)
	// Base is what verifiers start from: a clock, or an HTTP client.
	Base persauth.Config
}

// Run serves until ctx ends, and then lets those finish who are being served. The
// error is about the configuration or an address, or nil.
func Run(ctx context.Context, o Options) error {
	var level slog.LevelVar
	log := slog.New(slog.NewJSONHandler(o.Log, &slog.HandlerOptions{Level: &level}))
	o.Base.Logger = log
	s, err := o.load()
	if err != nil {
		return err
	}
	level.Set(s.level())
	verifier, err := s.verifier(o.Base)
	if err != nil {
		return fmt.Errorf("%s: %w", o.Config, err)
	}
	most := min(s.Limits.Connections, maxOpenConns())
	conns := newConnLimiter(most)
	e := &endpoint{metrics: newMetrics(conns.len), log: log, logLimiter: rate.NewLimiter(1, 5)}
	e.use(&state{s, verifier})
	// That of the moment, at the end.
	defer func() { e.state.Load().verifier.Close() }()

	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", s.Addr)
	if err != nil {
		return fmt.Errorf("addr: %w", err)
	}
	defer listener.Close()
	adminListener, err := config.Listen(ctx, "tcp", s.MetricsAddr)
	if err != nil {
		return fmt.Errorf("metricsAddr: %w", err)
	}
	defer adminListener.Close()

	var stopping atomic.Bool
	server := newServer(e, conns, s.Limits.HeaderBytes, log)
	admin := newServer(e.adminHandler(&stopping), newConnLimiter(adminConnections), defaultHeaderBytes, log)
	ended := make(chan error, 2)
	go func() { ended <- server.Serve(listener) }()
	go func() { ended <- admin.Serve(adminListener) }()
	log.Info("serving", "proxy", s.Proxy, "addr", listener.Addr().String(), "metricsAddr", adminListener.Addr().String(),
		"routes", len(s.Routes), "connections", most)
	if o.Started != nil {
		o.Started(listener.Addr(), adminListener.Addr())
	}

	background, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	group.Go(func() { e.keepKeys(background) })
	running := true
	for running {
		select {
		case <-o.Reload:
			if next := e.reload(ctx, o); next != nil {
				level.Set(next.level())
			}
		case err = <-ended:
			ended <- err
			running = false
		case <-ctx.Done():
			running = false
		}
	}
	stopping.Store(true)
	drain := time.Duration(e.state.Load().DrainDelay)
	log.Info("stopping", "drainDelay", drain.String())
	cancel()
	group.Wait()
	// A proxy that has not seen yet that this one goes still gets its answers.
	if err == nil && drain > 0 {
		select {
		case <-time.After(drain):
		case served := <-ended:
			ended <- served
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	err = errors.Join(server.Shutdown(last), server.Close(), admin.Shutdown(last), admin.Close())
	for range cap(ended) {
		if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
	}
	log.Info("stopped")
	return err
}

// Check reports what is wrong with the configuration, and serves nothing.
func Check(o Options) error {
	s, err := o.load()
	if err != nil {
		return err
	}
	verifier, err := s.verifier(o.Base)
	if err != nil {
		return fmt.Errorf("%s: %w", o.Config, err)
	}
	verifier.Close()
	return nil
}

// load reads the configuration, with what the options say.
func (o *Options) load() (*settings, error) {
	s, err := load(o.Config, o.Getenv)
	if err != nil {
		return nil, err
	}
	for _, addr := range []struct{ given, set *string }{{&o.Addr, &s.Addr}, {&o.MetricsAddr, &s.MetricsAddr}} {
		if *addr.given == "" {
			continue
		}
		if err := checkAddr(*addr.given); err != nil {
			return nil, err
		}
		*addr.set = *addr.given
	}
	return s, nil
}

func (s *settings) level() (level slog.Level) {
	if s.LogLevel != "" {
		_ = level.UnmarshalText([]byte(s.LogLevel)) // checked before
	}
	return level
}

func newServer(handler http.Handler, conns *connLimiter, headerBytes int, log *slog.Logger) *http.Server {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTime,
		ReadTimeout:       readTime,
		WriteTimeout:      writeTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    headerBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		// "OPTIONS *" is not for us to answer.
		DisableGeneralOptionsHandler: true,
	}
	conns.limit(server)
	return server
}

// use makes a state the one that decides.
func (e *endpoint) use(s *state) {
	e.state.Store(s)
	e.metrics.status.verifier.Store(s.verifier)
}

// reload reads the configuration again. One that does not hold changes nothing.
// The verifier stays where nothing about it changed: it knows which proofs were
// used, and which tokens are good.
func (e *endpoint) reload(ctx context.Context, o Options) *settings {
	old := e.state.Load()
	s, err := o.load()
	var verifier *persauth.Verifier
	if err == nil {
		if verifier = old.verifier; !s.sameVerifier(old.settings) {
			verifier, err = s.warmVerifier(ctx, o.Base, old.verifier)
		}
	}
	if err != nil {
		e.metrics.reloaded("failed")
		e.log.Error("the new configuration does not hold; the old one stays", "error", err.Error())
		return nil
	}
	if s.Addr != old.Addr || s.MetricsAddr != old.MetricsAddr || s.Limits != old.Limits {
		e.log.Warn("addresses and limits change with the next start only")
	}
	e.use(&state{s, verifier})
	if verifier != old.verifier {
		old.verifier.Close()
	}
	e.metrics.reloaded("ok")
	e.log.Info("configuration reloaded", "routes", len(s.Routes), "sameKeys", verifier == old.verifier)
	return s
}

// warmVerifier makes a verifier that has keys before it takes the place of one that
// has some. Without, a wrong project key would be noticed by everybody.
func (s *settings) warmVerifier(ctx context.Context, base persauth.Config, old *persauth.Verifier) (*persauth.Verifier, error) {
	verifier, err := s.verifier(base)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, warmTime)
	defer cancel()
	err = verifier.Warm(ctx)
	if verifier.Status().Ready || !old.Status().Ready {
		return verifier, nil
	}
	verifier.Close()
	return nil, fmt.Errorf("there are no keys with it: %w", err)
}

// keepKeys fetches keys before the first request, and whenever none are left: a
// sidecar that is not ready gets no requests that would make it fetch them.
func (e *endpoint) keepKeys(ctx context.Context) {
	for {
		wait := keysTime
		if err := e.state.Load().verifier.Warm(ctx); err != nil {
			wait = noKeysTime // the verifier spaces what it asks by itself
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}
