package fleet

// How stored values are protected, and what names they have.

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"
)

// purpose is what a value is for. Each has keys of its own.
type purpose string

const (
	forHead   purpose = "head"
	forEntry  purpose = "entry"
	forAnswer purpose = "answer"
	forPause  purpose = "pause"
	forNotice purpose = "notice"
	forProof  purpose = "proof"
	forNames  purpose = "names"
)

// errForged says that a value was not written by somebody with the secret, for
// the place where it is.
var errForged = errors.New("the store has a value that the fleet did not write there (tampering, or another secret)")

// sealer encrypts and authenticates with AES-256-GCM and random nonces. One key
// is good for 2^32 values (NIST SP 800-38D §8.3): 100 each second for 16 months,
// while PERS allows fewer than 3 answers a second.
type sealer struct {
	current, other map[purpose]cipher.AEAD // other: NextSecret or OldSecret; nil: none
	names, proofs  []byte
}

var sealed = []purpose{forHead, forEntry, forAnswer, forPause, forNotice}

func newSealer(o *Options) (*sealer, error) {
	s := &sealer{}
	var err error
	if s.current, err = aeads(o.Secret); err != nil {
		return nil, err
	}
	if other := slices.Concat(o.NextSecret, o.OldSecret); len(other) > 0 {
		if s.other, err = aeads(other); err != nil {
			return nil, err
		}
	}
	root := o.NameSecret
	if len(root) == 0 {
		root = o.Secret
	}
	if s.names, err = derive(root, forNames); err != nil {
		return nil, err
	}
	s.proofs, err = derive(root, forProof)
	return s, err
}

func derive(secret []byte, p purpose) ([]byte, error) {
	return hkdf.Key(sha256.New, secret, nil, "persauth fleet 1 "+string(p), 32) // RFC 5869
}

func aeads(secret []byte) (map[purpose]cipher.AEAD, error) {
	all := make(map[purpose]cipher.AEAD, len(sealed))
	for _, p := range sealed {
		key, err := derive(secret, p)
		if err != nil {
			return nil, err
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		if all[p], err = cipher.NewGCMWithRandomNonce(block); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// seal protects a value for one place.
func (s *sealer) seal(p purpose, place, value []byte) []byte {
	return s.current[p].Seal(nil, nil, value, place)
}

// isCurrent reports whether a value is protected with the Secret.
func (s *sealer) isCurrent(p purpose, place, value []byte) bool {
	_, err := s.current[p].Open(nil, nil, value, place)
	return err == nil
}

// open returns a value that was sealed for the place. The error is errForged.
func (s *sealer) open(p purpose, place, value []byte) ([]byte, error) {
	plain, err := s.current[p].Open(nil, nil, value, place)
	if err != nil && s.other != nil {
		plain, err = s.other[p].Open(nil, nil, value, place)
	}
	if err != nil {
		return nil, errForged
	}
	return plain, nil
}

// digest is the name of something: parts must not be ambiguous when put together.
func (s *sealer) digest(parts ...[]byte) []byte { return mac(s.names, parts...) }

func mac(key []byte, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	var size [8]byte
	for _, part := range parts {
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		h.Write(size[:])
		h.Write(part)
	}
	return h.Sum(nil)
}

// text is a short form for a name: 132 bits of a digest.
func text(digest []byte) string { return base64.RawURLEncoding.EncodeToString(digest)[:22] }
