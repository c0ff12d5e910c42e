package jose

// Error says what is wrong with a token, or with its signature.
type Error struct {
	Kind             ErrorKind
	Check, Want, Got string
	Cause            error // what lies beneath, or nil
}

// ErrorKind is what a Error is about.
type ErrorKind int

const (
	Malformed      ErrorKind = iota // the form of the token
	UnknownKey                      // the set has no key that the token can mean
	WrongAlgorithm                  // the key is not for the algorithm
	BadSignature                    // the signature is not the key's
)

func (e *Error) Error() string {
	text := e.Check + ": want " + e.Want
	if e.Got != "" {
		text += ", got " + e.Got
	}
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

func (e *Error) Unwrap() error { return e.Cause }
