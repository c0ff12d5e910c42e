package dpop

// Nonces keep proofs from being made in advance (RFC 9449 §8, §9).

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"sync/atomic"
	"time"
)

// nonceSpan is how long one nonce is handed out. It is good for twice as long.
const nonceSpan = 5 * time.Minute

// nonces are made and recognised without being stored: each is a MAC of the
// span of time that it belongs to.
type nonces struct {
	secret []byte
	known  atomic.Pointer[spanNonces]
}

// spanNonces are the nonces that count in one span. It is immutable.
type spanNonces struct {
	span                    int64
	previous, current, next string
}

// at returns the nonces of a time.
func (n *nonces) at(now time.Time) *spanNonces {
	span := now.Unix() / int64(nonceSpan/time.Second)
	if s := n.known.Load(); s != nil && s.span == span {
		return s
	}
	// The one to come is for instances whose clocks are a little behind that
	// of the one that gave it out.
	s := &spanNonces{span, n.mac(span - 1), n.mac(span), n.mac(span + 1)}
	n.known.Store(s)
	return s
}

// good reports whether a nonce counts, and whether it will not for much longer.
func (n *nonces) good(nonce string, now time.Time) (good, old bool) {
	s := n.at(now)
	is := func(ours string) bool { return hmac.Equal([]byte(nonce), []byte(ours)) }
	old = is(s.previous)
	return old || is(s.current) || is(s.next), old
}

func (n *nonces) mac(span int64) string {
	mac := hmac.New(sha256.New, n.secret)
	mac.Write([]byte("persauth dpop nonce\x00"))
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(span)))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:18])
}
