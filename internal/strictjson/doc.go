// Package strictjson reads JSON strictly: an object whose member names are compared
// with case and come once, in valid UTF-8, of bounded depth, with nothing behind it.
//
// It promises that what two readers could take for two things is refused, and that an
// error repeats nothing of the text. There are two ways through an object beside a
// tree of members, the strict one and a short one for plain text; whatever the short
// one takes, the strict one takes, and reads the same. It knows nothing of claims.
package strictjson
