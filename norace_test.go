//go:build !race

package persauth_test

const floodSize = 100_000
