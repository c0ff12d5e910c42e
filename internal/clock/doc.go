// Package clock tells the time: instants in microseconds, a clock that is cheap to
// read, a stopwatch that nobody can set, and NumericDate (RFC 7519 §2).
//
// It promises that a wall clock which is set forward or back neither wraps around nor
// brings back what has passed, where Ahead and Stopwatch are used. It knows nothing
// of what the times are about.
package clock
