package persauth

// What tests outside the package need to see of its inside.

import "time"

// NormalURL is the form in which addresses are compared.
var NormalURL = normalURL

// NewMemoryReplays is the ReplayStore of one instance.
func NewMemoryReplays(limit int, window time.Duration, now func() time.Time) ReplayStore {
	return newMemoryReplays(limit, window, newClock(now))
}

// VerifyProof checks a proof beside a token that need not be one of PERS'.
func (v *Verifier) VerifyProof(text, method, target, token, thumbprint string) error {
	return v.proofs.verify(new(proof), text, method, target, token, thumbprint)
}

// ProofKeys is how many clients' keys are remembered.
func (v *Verifier) ProofKeys() int { return v.proofs.keys.len() }
