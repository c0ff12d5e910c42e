package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A cold start answers from the embedded keys.
func TestColdStart(t *testing.T) {
	all, err := os.ReadFile("../../testdata/tokens.txt")
	require.NoError(t, err)
	v, err := newVerifier("", t.TempDir())
	require.NoError(t, err)
	defer v.Close()
	for header, want := range map[string]int{
		"Bearer " + strings.Fields(string(all))[0]: http.StatusOK,
		"Bearer wrong": http.StatusUnauthorized,
		"":             http.StatusUnauthorized,
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", header)
		w := httptest.NewRecorder()
		newHandler(v).ServeHTTP(w, r)
		assert.Equal(t, want, w.Code)
	}
}
