//go:build race

package persauth_test

// floodSize is smaller where everything takes ten times as long.
const floodSize = 20_000
