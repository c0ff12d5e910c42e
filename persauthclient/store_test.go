package persauthclient_test

// Sessions that are kept: between runs, for several processes, and by stores that
// fail.

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/persauth/persauth/persauthclient"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// onSocket is a fake PERS that other processes reach.
func onSocket(t *testing.T) pers {
	iss := persauthtest.NewIssuer(t)
	return pers{persauthtest.NewServer(t, iss), iss, iss.Verifier()}
}

func TestFileStore(t *testing.T) {
	p := onSocket(t)
	folder := t.TempDir()
	path := filepath.Join(folder, "session.json")
	keep := func(cfg *persauthclient.Config) { cfg.Store = persauthclient.NewFileStore(path) }
	first := p.source(t, keep)
	_, err := first.AccessToken(t.Context())
	require.ErrorIs(t, err, persauthclient.ErrSignIn)
	require.NoFileExists(t, path, "nothing is written for nothing")
	require.NoError(t, first.SignIn(t.Context(), persauthclient.Request{AuthToken: "x"}))
	token := p.good(t, first)
	info, err := os.Stat(path)
	require.NoError(t, err)
	if runtime.GOOS != "windows" {
		assert.Equal(t, os.FileMode(0o600), info.Mode())
	}

	second := p.source(t, keep) // the next run
	assert.Equal(t, token, p.good(t, second))
	assert.Zero(t, p.Count(persauthtest.EndpointRefresh))
	p.iss.Clock().Advance(16 * time.Minute)
	token = p.good(t, second)
	assert.Equal(t, token, p.good(t, first), "the other one has it from the file")
	assert.Equal(t, 1, p.Count(persauthtest.EndpointRefresh))

	require.NoError(t, first.SignOut(t.Context()))
	require.NoFileExists(t, path)
	require.NoError(t, first.SignOut(t.Context()), "twice is as good")
	p.iss.Clock().Advance(16 * time.Minute)
	_, err = second.AccessToken(t.Context())
	assert.ErrorIs(t, err, persauthclient.ErrSignIn)
	left, err := filepath.Glob(filepath.Join(folder, "*"))
	require.NoError(t, err)
	assert.Equal(t, []string{path + ".lock"}, left, "no other file is left")
}

// The key that tokens are bound to is kept with them.
func TestStoredKey(t *testing.T) {
	for _, algorithm := range []string{"ES256", "EdDSA"} {
		p := onSocket(t)
		store := persauthclient.NewFileStore(filepath.Join(t.TempDir(), "session.json"))
		bound := func(cfg *persauthclient.Config) { cfg.Store, cfg.BindTo = store, algorithm }
		first := p.signedIn(t, bound)
		p.good(t, first)
		thumbprint := first.Status().Bound
		require.NotEmpty(t, thumbprint)
		for _, change := range []func(*persauthclient.Config){bound, func(cfg *persauthclient.Config) { cfg.Store = store }} {
			p.iss.Clock().Advance(16 * time.Minute)
			next := p.source(t, change)
			p.good(t, next)
			assert.Equal(t, thumbprint, next.Status().Bound, "and PERS takes its proofs")
		}
		// A key of the application's own is not kept.
		key, err := persauthclient.GenerateKey(algorithm)
		require.NoError(t, err)
		own := func(cfg *persauthclient.Config) { cfg.Store, cfg.Client.Key = store, key }
		s := p.signedIn(t, own)
		kept, err := store.Load(t.Context())
		require.NoError(t, err)
		assert.NotContains(t, string(kept), "privateKey")
		p.good(t, p.source(t, own))
		_, err = p.source(t, func(cfg *persauthclient.Config) { cfg.Store = store }).AccessToken(t.Context())
		assert.ErrorIs(t, err, persauthclient.ErrSignIn, "without the key its tokens are of no use")
		require.NoError(t, s.SignOut(t.Context()))
		p.signedIn(t, func(cfg *persauthclient.Config) { cfg.Store = store })
		_, err = p.source(t, bound).AccessToken(t.Context())
		assert.ErrorIs(t, err, persauthclient.ErrSignIn, "a session without a key does not pass for one with a key")
	}
}

// What is in the file, and should not be, is refused with a reason, and stays.
func TestFileStoreRefuses(t *testing.T) {
	p := onSocket(t)
	other := onSocket(t)
	folder := t.TempDir()
	path := filepath.Join(folder, "session.json")
	keep := func(cfg *persauthclient.Config) { cfg.Store = persauthclient.NewFileStore(path) }
	other.signedIn(t, keep)
	foreign, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.Remove(path))
	p.signedIn(t, keep)
	good, err := os.ReadFile(path)
	require.NoError(t, err)
	changed := func(name string, value any) []byte {
		var members map[string]any
		require.NoError(t, json.Unmarshal(good, &members))
		members[name] = value
		content, err := json.Marshal(members)
		require.NoError(t, err)
		return content
	}
	for name, c := range map[string]struct {
		content []byte
		mode    os.FileMode
		want    string
		unix    bool
	}{
		"as it was":         {content: good, mode: 0o600},
		"open to the group": {content: good, mode: 0o640, want: "open to others", unix: true},
		"open to all":       {content: good, mode: 0o604, want: "open to others", unix: true},
		"another project's": {content: foreign, mode: 0o600, want: "another project"},
		"another version's": {content: changed("version", 2), mode: 0o600, want: "another version"},
		"garbage":           {content: []byte("eyJsecret"), mode: 0o600, want: "not a session"},
		"a bad key":         {content: changed("privateKey", "AAAA"), mode: 0o600, want: "key cannot be read"},
		"no token":          {content: changed("accessToken", "a\nb"), mode: 0o600, want: "no token"},
		"huge":              {content: []byte(strings.Repeat(" ", 100<<10)), mode: 0o600, want: "too large"},
	} {
		if c.unix && runtime.GOOS == "windows" {
			continue
		}
		require.NoError(t, os.WriteFile(path, c.content, 0o600), name)
		require.NoError(t, os.Chmod(path, c.mode), name)
		s := p.source(t, keep)
		_, err := s.AccessToken(t.Context())
		if c.want == "" {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorIs(t, err, persauthclient.ErrStore, name)
		assert.Contains(t, err.Error(), c.want, name)
		silent(t, err.Error(), "eyJ", p.ProjectKey())
		left, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Equal(t, string(c.content), string(left), name)
	}
	if os.Geteuid() == 0 {
		require.NoError(t, os.WriteFile(path, good, 0o600))
		require.NoError(t, os.Chmod(path, 0o600))
		require.NoError(t, os.Chown(path, 1, 1))
		_, err = p.source(t, keep).AccessToken(t.Context())
		require.ErrorIs(t, err, persauthclient.ErrStore)
		assert.Contains(t, err.Error(), "another user")
	}
	for _, path := range []string{folder, filepath.Join(folder, "none", "session.json")} {
		_, err = p.source(t, func(cfg *persauthclient.Config) { cfg.Store = persauthclient.NewFileStore(path) }).AccessToken(t.Context())
		assert.ErrorIs(t, err, persauthclient.ErrStore, path)
	}
	assert.Zero(t, p.Count(persauthtest.EndpointRefresh))
}

// While another process holds the lock, and does not go on, a token that lives is
// used, and who has none is told to come again.
func TestLockIsHeld(t *testing.T) {
	p := onSocket(t)
	store := persauthclient.NewFileStore(filepath.Join(t.TempDir(), "session.json"))
	s := p.signedIn(t, func(cfg *persauthclient.Config) { cfg.Store, cfg.Timeout = store, 100*time.Millisecond })
	held, release := make(chan struct{}), make(chan struct{})
	var other sync.WaitGroup
	other.Go(func() {
		assert.NoError(t, store.Update(t.Context(), func(kept []byte) ([]byte, error) {
			close(held)
			<-release
			return kept, nil
		}))
	})
	<-held
	p.iss.Clock().Advance(14 * time.Minute) // due
	p.good(t, s)
	p.iss.Clock().Advance(2 * time.Minute) // and over
	_, err := s.AccessToken(t.Context())
	require.ErrorIs(t, err, persauthclient.ErrUnavailable)
	assert.Zero(t, p.Count(persauthtest.EndpointRefresh), "the refresh token may be in use")
	close(release)
	other.Wait()
	require.Eventually(t, func() bool {
		_, err := s.AccessToken(t.Context())
		return err == nil
	}, 5*time.Second, 10*time.Millisecond)
	assert.Equal(t, 1, p.Count(persauthtest.EndpointRefresh))
}

// flakyStore fails as it is told to.
type flakyStore struct {
	persauthclient.MemoryStore
	mu          sync.Mutex
	read, write error
}

func (f *flakyStore) fail(read, write error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.read, f.write = read, write
}

func (f *flakyStore) Update(ctx context.Context, change func([]byte) ([]byte, error)) error {
	f.mu.Lock()
	read, write := f.read, f.write
	f.mu.Unlock()
	if read != nil {
		return read
	}
	return f.MemoryStore.Update(ctx, func(kept []byte) ([]byte, error) {
		next, err := change(kept)
		if err == nil {
			err = write
		}
		return next, err
	})
}

// A disk that is full when PERS has replaced the refresh token loses nothing while
// the program runs, and nothing at all when it has room again.
func TestStoreFails(t *testing.T) {
	full := errors.New("no space left on device")
	inBubble(t, func(t *testing.T, p pers) {
		store := new(flakyStore)
		keep := func(cfg *persauthclient.Config) { cfg.Store = store }
		s := p.signedIn(t, keep)
		store.fail(nil, full)
		every(time.Second, 2*time.Hour, func() { p.good(t, s) })
		assert.InDelta(t, 10, p.Count(persauthtest.EndpointRefresh), 2, "no more than otherwise")
		store.fail(nil, nil)
		time.Sleep(31 * time.Second)
		p.good(t, s)
		time.Sleep(20 * time.Minute)
		p.good(t, p.source(t, keep)) // the next run
		assert.Equal(t, 1, p.Count(persauthtest.EndpointToken))

		require.NoError(t, s.SignOut(t.Context()))
		store.fail(nil, full)
		assert.ErrorIs(t, s.SignIn(t.Context(), persauthclient.Request{AuthToken: "x"}), full, "a session that is not kept is none")
		assert.ErrorIs(t, s.SignIn(t.Context(), persauthclient.Request{AuthToken: "x"}), persauthclient.ErrStore)
	})
	inBubble(t, func(t *testing.T, p pers) {
		store := new(flakyStore)
		s := p.signedIn(t, func(cfg *persauthclient.Config) { cfg.Store = store })
		store.fail(full, nil)
		every(time.Second, 15*time.Minute-time.Second, func() { p.good(t, s) })
		time.Sleep(2 * time.Second)
		_, err := s.AccessToken(t.Context())
		require.ErrorIs(t, err, persauthclient.ErrStore)
		require.ErrorIs(t, err, full)
		assert.Zero(t, p.Count(persauthtest.EndpointRefresh))
		store.fail(nil, nil)
		time.Sleep(6 * time.Second)
		p.good(t, s)
	})
}

// Sources that share a store make one refresh between them.
func TestSharedStore(t *testing.T) {
	inBubble(t, func(t *testing.T, p pers) {
		store := new(persauthclient.MemoryStore)
		p.signedIn(t, func(cfg *persauthclient.Config) { cfg.Store = store })
		p.Fault(persauthtest.EndpointRefresh, persauthtest.Slow(time.Second))
		var sources []*persauthclient.TokenSource
		for range 20 {
			sources = append(sources, p.source(t, func(cfg *persauthclient.Config) { cfg.Store = store }))
		}
		for i := range 5 {
			time.Sleep(16 * time.Minute)
			var callers sync.WaitGroup
			for _, s := range sources {
				callers.Go(func() {
					_, err := s.AccessToken(t.Context())
					assert.NoError(t, err)
				})
			}
			callers.Wait()
			assert.Equal(t, i+1, p.Count(persauthtest.EndpointRefresh))
		}
	})
}

const shareEnv = "PERSAUTHCLIENT_TEST_SHARE"

// shared is what another process is told.
type shared struct {
	Store, URL, ProjectKey string
	Offset                 time.Duration
	Hang                   bool
}

func shareStore() (string, bool) { return os.LookupEnv(shareEnv) }

// runShared is another process of TestProcesses: it prints a digest of its token.
func runShared(told string) {
	var s shared
	check := func(err error) {
		if err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
	}
	check(json.Unmarshal([]byte(told), &s))
	store := persauthclient.NewFileStore(s.Store)
	if s.Hang { // until it is killed, with the lock
		check(store.Update(bg, func([]byte) ([]byte, error) {
			fmt.Println("holding")
			select {}
		}))
	}
	source, err := persauthclient.NewTokenSource(persauthclient.Config{
		Client: &persauthclient.Client{ProjectKey: s.ProjectKey, BaseURL: s.URL, Now: func() time.Time { return time.Now().Add(s.Offset) }},
		Store:  store,
	})
	check(err)
	fmt.Println("ready")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n') // all begin at once
	token, err := source.AccessToken(bg)
	check(err)
	fmt.Printf("%x\n", sha256.Sum256([]byte(token)))
}

// other starts another process, and returns its first word, and a function that
// lets it go on and returns its next one.
func other(t *testing.T, told shared) (cmd *exec.Cmd, first string, goOn func() string) {
	t.Helper()
	text, err := json.Marshal(told)
	require.NoError(t, err)
	cmd = exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), shareEnv+"="+string(text))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewReader(out)
	first, _ = lines.ReadString('\n')
	return cmd, strings.TrimSpace(first), func() string {
		fmt.Fprintln(in)
		word, _ := lines.ReadString('\n')
		_ = cmd.Wait()
		return strings.TrimSpace(word)
	}
}

// Several processes on one file make one refresh between them, each time; a second
// use of a refresh token would end the session. One that is killed with the lock
// keeps nobody from it.
func TestProcesses(t *testing.T) {
	p := onSocket(t)
	path := filepath.Join(t.TempDir(), "session.json")
	p.signedIn(t, func(cfg *persauthclient.Config) { cfg.Store = persauthclient.NewFileStore(path) })
	told := shared{Store: path, URL: p.URL(), ProjectKey: p.ProjectKey()}
	p.Fault(persauthtest.EndpointRefresh, persauthtest.Slow(50*time.Millisecond))
	for round := range 3 {
		if round == 1 {
			hanging := told
			hanging.Hang = true
			cmd, word, _ := other(t, hanging)
			require.Equal(t, "holding", word)
			require.NoError(t, cmd.Process.Kill())
			_ = cmd.Wait()
		}
		p.iss.Clock().Advance(20 * time.Minute)
		told.Offset += 20 * time.Minute
		var all []func() string
		for range 5 {
			_, word, goOn := other(t, told)
			require.Equal(t, "ready", word)
			all = append(all, goOn)
		}
		words := make([]string, len(all))
		var running sync.WaitGroup
		for i, goOn := range all {
			running.Go(func() { words[i] = goOn() })
		}
		running.Wait()
		for _, word := range words {
			assert.Equal(t, words[0], word)
			assert.Len(t, word, 64, "%s", word)
		}
		assert.Equal(t, round+1, p.Count(persauthtest.EndpointRefresh))
	}
}

// A program that starts while PERS is away, or does not answer, uses the token that
// is kept, at once, while that lives.
func TestStartWithoutPERS(t *testing.T) {
	for name, fault := range map[string]persauthtest.Fault{"down": persauthtest.Down, "hanging": persauthtest.Hanging, "ended": persauthtest.Status(401)} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, p pers) {
				store := new(persauthclient.MemoryStore)
				keep := func(cfg *persauthclient.Config) { cfg.Store = store }
				before := p.good(t, p.signedIn(t, keep))
				p.Fault(persauthtest.EndpointRefresh, fault)
				time.Sleep(14 * time.Minute)
				s := p.source(t, keep)
				began := time.Now()
				for range 50 {
					assert.Equal(t, before, p.good(t, s))
				}
				assert.Zero(t, time.Since(began))
				time.Sleep(45 * time.Second) // it may expire on the way
				s = p.source(t, keep)
				began = time.Now()
				assert.Equal(t, before, p.good(t, s))
				assert.LessOrEqual(t, time.Since(began), 10*time.Second)
				time.Sleep(16 * time.Second)
				_, err := p.source(t, keep).AccessToken(t.Context())
				assert.Error(t, err)
			})
		})
	}
}
