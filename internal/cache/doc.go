// Package cache has bounded memories: one for what is looked at now and then, a table
// for verified tokens that is read without a lock, and a counter for many cores.
//
// It promises a bound on entries, that nothing runs in the background, and that no
// caller waits for others to be forgotten. It knows nothing of what it holds, and
// imports nothing of this project.
package cache
