package sidecar

// Texts that some service takes for the same. A service that is not particular
// about case may also turn a dotless i into an I, a wide letter into a plain one,
// or drop an accent: by the rules of a language, of Unicode, or of a code page.

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
	"golang.org/x/text/unicode/norm"
)

// fold is equal for texts that differ in nothing but case, accents, and the forms
// in which a letter can be written (Unicode's compatibility decomposition, UAX
// #15, and its full case folding).
func fold(s string) string {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return foldUnicode(s)
		}
	}
	return strings.ToLower(s)
}

func foldUnicode(s string) string {
	// In capitals first, because there the dotless i is an I. Casers have a state.
	s = cases.Fold().String(cases.Upper(language.Und).String(norm.NFKD.String(s)))
	return strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Mn, unicode.Me, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) {
			return -1
		}
		return r
	}, norm.NFKD.String(s))
}

// readsAsSeparator reports a character beyond ASCII that means more in a plainer
// form: "／" is "/" there, and "‥" is "..". Some Windows code pages also make a
// slash or a backslash of the last four.
func readsAsSeparator(r rune) bool {
	decomposed := norm.NFKD.PropertiesString(string(r)).Decomposition()
	return bytes.ContainsAny(decomposed, `/\%;?#.`) || strings.ContainsRune("⁄∕¥₩", r)
}
