package main

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestPlatformWithoutNetwork(t *testing.T) {
	for _, goos := range []string{"js", "wasip1"} {
		assert.ErrorContains(t, networkOn(goos, "persauth serve"), "persauth serve needs a network, which Go does not have on "+goos)
	}
	for _, goos := range []string{"linux", "darwin", "windows", "plan9", runtime.GOOS} {
		assert.NoError(t, networkOn(goos, "persauth serve"))
	}
}
