package fleet_test

// The figures of docs/fleet.md: printed with -v, and held to bounds that a busy
// machine keeps, too.

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/fleet"
	"github.com/persauth/persauth/persauthtest"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"
)

// What the store holds of each kind, in bytes.
func TestMemory(t *testing.T) {
	srv := start(t)
	s := newService(t, 1, srv.url())
	s.ready()
	usage := func() (bytes int64) {
		for _, key := range srv.keysLike("persauth:*") {
			n, err := srv.admin("MEMORY", "USAGE", key, "SAMPLES", "0").AsInt64()
			require.NoError(t, err)
			bytes += n
		}
		return bytes
	}
	const n = 500
	for _, c := range []struct {
		what string
		most int64
		do   func(i int)
	}{
		{"revocation", 700, func(i int) {
			require.NoError(t, s.v[0].Revoke(persauth.Revocation{Subject: fmt.Sprint("subject-", i)}))
		}},
		{"used proof", 250, func(i int) {
			_, err := s.stores[0].Claim(within(t, 5*time.Second), persauth.UsedProof{ID: sha256.Sum256(fmt.Append(nil, i)), Until: time.Now().Add(time.Minute)})
			require.NoError(t, err)
		}},
		{"verdict", 1200, func(i int) {
			share(t, s.stores[0], verdictName(fmt.Sprint(i)), fmt.Sprintf(`{"valid":true,"tenantId":%q,"payload":{"sub":"%d","tenantId":%q,"exp":1900000000,"iat":1800000000,"authType":"user"}}`,
				persauthtest.DefaultTenant, i, persauthtest.DefaultTenant), time.Minute)
		}},
	} {
		before := usage()
		for i := range n {
			c.do(i)
		}
		each := (usage() - before) / n
		t.Logf("%d bytes a %s", each, c.what)
		require.Less(t, each, c.most, c.what)
	}
}

// A claim is one round trip: beside a bare SET NX PX on the same connection.
func TestClaimBesideSet(t *testing.T) {
	srv := start(t)
	s := srv.open()
	bare, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{srv.address()}, ForceSingleClient: true, DisableCache: true})
	require.NoError(t, err)
	defer bare.Close()
	const n = 2000
	var claims, sets []time.Duration
	for i := range n {
		begin := time.Now()
		first, err := s.Claim(context.Background(), persauth.UsedProof{ID: sha256.Sum256(fmt.Append(nil, i)), Subject: sha256.Sum256(fmt.Append(nil, i)), Until: time.Now().Add(time.Minute)})
		claims = append(claims, time.Since(begin))
		require.NoError(t, err)
		require.True(t, first)
		begin = time.Now()
		require.NoError(t, bare.Do(context.Background(), bare.B().Set().Key(fmt.Sprint("bare-", i)).Value("1").Nx().Px(time.Minute).Build()).Error())
		sets = append(sets, time.Since(begin))
	}
	slices.Sort(claims)
	slices.Sort(sets)
	t.Logf("a claim: median %v, p99 %v; a bare SET NX PX: median %v, p99 %v", claims[n/2], claims[n*99/100], sets[n/2], sets[n*99/100])
	require.Less(t, claims[n/2], 4*sets[n/2])
	commands, err := srv.admin("INFO", "commandstats").ToString()
	require.NoError(t, err)
	require.Contains(t, commands, "cmdstat_evalsha:calls="+strconv.Itoa(n), "one round trip for each")
}

// child is what a process of TestRevocationLatency gets on its standard input.
type child struct {
	URL    string
	JWKS   []byte
	Tokens []string
	N      int
}

// TestMain in a child does not run the tests.
func runChild() {
	var c child
	in := bufio.NewReader(os.Stdin)
	line, err := in.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &c)
	}
	if err != nil {
		panic(err)
	}
	var all []*persauth.Verifier
	for range c.N {
		store, err := fleet.Open(fleet.Options{URL: c.URL, Secret: secret, Name: "test"})
		if err != nil {
			panic(err)
		}
		v, err := persauth.New(persauth.Config{Keys: persauth.StaticKeys(c.JWKS), Fleet: store})
		if err != nil {
			panic(err)
		}
		if err := v.Warm(context.Background()); err != nil {
			panic(err)
		}
		all = append(all, v)
	}
	fmt.Println("ready")
	for _, token := range c.Tokens {
		for _, v := range all {
			for accepted := true; accepted; time.Sleep(2 * time.Millisecond) {
				_, err := v.Verify(context.Background(), token)
				accepted = !errors.Is(err, persauth.ErrRevoked)
			}
		}
		fmt.Println(time.Now().UnixNano())
	}
	_, _ = io.Copy(io.Discard, in) // until the parent goes
}

// From Revoke's return to the refusal at the last of many verifiers in several
// processes. PERSAUTH_FLEET_FIGURES=1 takes the number that the page has.
func TestRevocationLatency(t *testing.T) {
	processes, each, rounds := 2, 5, 10
	if os.Getenv("PERSAUTH_FLEET_FIGURES") != "" {
		processes, each, rounds = 8, 25, 100
	}
	srv := start(t)
	iss := persauthtest.NewIssuer(t, persauthtest.WithAlgorithms("EdDSA"))
	c := child{URL: srv.url(), JWKS: iss.JWKS(), N: each}
	for i := range rounds {
		c.Tokens = append(c.Tokens, iss.Token(map[string]any{"sub": fmt.Sprint("round-", i)}))
	}
	input, err := json.Marshal(c)
	require.NoError(t, err)
	var outs []*bufio.Reader
	for range processes {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "PERSAUTH_FLEET_CHILD=1")
		in, err := cmd.StdinPipe()
		require.NoError(t, err)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		cmd.Stderr = os.Stderr
		require.NoError(t, cmd.Start())
		t.Cleanup(func() { in.Close(); _ = cmd.Process.Kill(); _ = cmd.Wait() })
		_, err = in.Write(append(input, '\n'))
		require.NoError(t, err)
		outs = append(outs, bufio.NewReader(out))
	}
	for _, out := range outs {
		line, err := out.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "ready\n", line)
	}
	v := iss.Verifier(func(cfg *persauth.Config) { cfg.Fleet = srv.open() })
	var took []time.Duration
	for i := range rounds {
		require.NoError(t, v.Revoke(persauth.Revocation{Subject: fmt.Sprint("round-", i)}))
		returned := time.Now()
		last := returned
		for _, out := range outs {
			line, err := out.ReadString('\n')
			require.NoError(t, err)
			nanos, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
			require.NoError(t, err)
			if at := time.Unix(0, nanos); at.After(last) {
				last = at
			}
		}
		took = append(took, last.Sub(returned))
	}
	slices.Sort(took)
	t.Logf("Revoke returned, refused at the last of %d verifiers in %d processes: median %v, p99 %v, most %v", processes*each, processes,
		took[rounds/2].Round(time.Millisecond), took[rounds*99/100].Round(time.Millisecond), took[rounds-1].Round(time.Millisecond))
	require.Less(t, took[rounds-1], 10*time.Second, "MaxLag")
}
