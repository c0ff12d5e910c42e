package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// There is a page for each command, with the text of its help, and man reads it.
func TestMan(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "man1")
	got := call(t, "", nil, "man", folder)
	require.Equal(t, 0, got.status, got.stderr)
	page, err := os.ReadFile(filepath.Join(folder, "persauth-verify.1"))
	require.NoError(t, err)
	assert.Contains(t, string(page), "--claim-names")
	assert.Contains(t, string(page), `"PERSAUTH-VERIFY" "1" "" "persauth"`)
	for _, name := range []string{"persauth.1", "persauth-jwks-lint.1", "persauth-serve.1", "persauth-fixtures.1", "persauth-inspect.1"} {
		assert.FileExists(t, filepath.Join(folder, name))
	}
	again := t.TempDir()
	require.Equal(t, 0, call(t, "", nil, "man", again).status)
	same, err := os.ReadFile(filepath.Join(again, "persauth-verify.1"))
	require.NoError(t, err)
	assert.Equal(t, string(page), string(same))
	assert.Equal(t, exitUsage, call(t, "", nil, "man").status)
	assert.Equal(t, exitUsage, call(t, "", nil, "man", filepath.Join(folder, "persauth.1")).status)

	if man, err := exec.LookPath("man"); err == nil {
		read := exec.CommandContext(t.Context(), man, "-l", filepath.Join(folder, "persauth-verify.1"))
		read.Env = append(os.Environ(), "MANPAGER=cat", "LC_ALL=C.UTF-8")
		out, err := read.CombinedOutput()
		require.NoError(t, err, "%s", out)
		assert.Contains(t, string(out), "Says whether tokens are valid")
	}
}

func TestCompletion(t *testing.T) {
	for args, want := range map[string][]string{
		"mint --type ":                   {"user", "business", "tenant", "system"},
		"mint --alg E":                   {"ES256", "EdDSA"},
		"mock --algorithms ES256,":       {"ES256,RS256", "ES256,EdDSA"},
		"verify --claim-names tenant=x,": {"tenant=x,role="},
		"ver":                            {"verify", "version"},
		"jwks ":                          {"lint", "show", "fetch"},
		"verify --jwks ":                 {"json"},
	} {
		got := call(t, "", nil, append([]string{"__complete"}, strings.Split(args, " ")...)...)
		assert.Equal(t, 0, got.status, args)
		for _, word := range want {
			assert.Regexp(t, `(?m)^`+word+`(\t|$)`, got.out, args)
		}
	}
	got := call(t, "", nil, "__complete", "mock", "--algorithms", "ES256,")
	assert.NotContains(t, got.out, "ES256,ES256")
	assert.NotContains(t, call(t, "", nil, "__complete", "mint", "--type", "b").out, "user")
}

func TestDidYouMean(t *testing.T) {
	for args, want := range map[string]string{
		"verify --isuer x":              "--isuer; did you mean --issuer?",
		"mint --algorithm RS256":        "did you mean --algorithms?",
		"serve --confg x":               "did you mean --config?",
		"mint --type admin":             "--type is admin",
		"mint --type bussiness":         "did you mean business?",
		"verfy":                         "did you mean verify?",
		"jwks lnit":                     "did you mean lint?",
		"verify --frobnicate-the-thing": "--frobnicate-the-thing\n",
	} {
		got := call(t, "", nil, strings.Split(args, " ")...)
		assert.Equal(t, exitUsage, got.status)
		assert.Contains(t, got.stderr, want)
	}
}

func TestKeysFromStandardInput(t *testing.T) {
	body, err := os.ReadFile(fixtureKeys)
	require.NoError(t, err)
	for _, name := range []string{"lint", "show"} {
		got := call(t, string(body), nil, "jwks", name, "-")
		want := call(t, "", nil, "jwks", name, fixtureKeys)
		assert.Equal(t, want, got)
	}
	got := call(t, "<html>", nil, "jwks", "lint", "-")
	assert.Equal(t, exitUsage, got.status)
	assert.Contains(t, got.stderr, "standard input")
}
