package pages

import (
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

var (
	fence  = regexp.MustCompile("(?ms)^```.*?^```$")
	inline = regexp.MustCompile("`[^`\n]*`")
	// The target of a link or of a picture, in Markdown or in HTML.
	link    = regexp.MustCompile(`\]\(([^()\s]+)\)|(?:href|src|srcset)="([^"]+)"`)
	heading = regexp.MustCompile(`(?m)^#{1,6} +(.+?) *$`)
)

// CheckLinks fails the test for each relative link, on any page below root, to a file
// that is not there or to a heading that its page does not have.
func CheckLinks(t testing.TB, root string) {
	t.Helper()
	pages := Find(t, root)
	anchors := make(map[string]map[string]bool, len(pages))
	for _, page := range pages {
		anchors[page] = anchorsOf(read(t, page))
	}
	checked := 0
	for _, page := range pages {
		for _, target := range LinksOf(read(t, page)) {
			checked++
			if problem := problemOf(root, page, target, anchors); problem != "" {
				t.Errorf("%s: link to %s: %s", page, target, problem)
			}
		}
	}
	if checked == 0 {
		t.Errorf("no page below %s has a link", root)
	}
}

// LinksOf returns the targets of all relative links of a page. What stands in code is
// no link.
func LinksOf(text string) (targets []string) {
	text = inline.ReplaceAllString(fence.ReplaceAllString(text, ""), "")
	for _, match := range link.FindAllStringSubmatch(text, -1) {
		target := match[1] + match[2]
		if u, err := url.Parse(target); err != nil || u.Scheme == "" && u.Host == "" {
			targets = append(targets, target)
		}
	}
	return targets
}

// problemOf says what is wrong with a link, or nothing.
func problemOf(root, page, target string, anchors map[string]map[string]bool) string {
	file, anchor, has := strings.Cut(target, "#")
	name := page
	if file != "" {
		name = filepath.Join(filepath.Dir(page), filepath.FromSlash(file))
	}
	if relative, err := filepath.Rel(root, name); err != nil || relative == ".." || strings.HasPrefix(relative, ".."+string(filepath.Separator)) {
		return "it leaves the repository"
	}
	switch {
	case !exists(name):
		return "no such file"
	case has && !anchors[name][anchor]:
		return "no such heading"
	}
	return ""
}

// anchorsOf returns the anchors that GitHub gives to the headings of a page.
func anchorsOf(text string) map[string]bool {
	anchors := make(map[string]bool)
	for _, match := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		anchor := anchorOf(match[1])
		for i := 1; anchors[anchor]; i++ {
			anchor = fmt.Sprintf("%s-%d", anchorOf(match[1]), i)
		}
		anchors[anchor] = true
	}
	return anchors
}

// anchorOf keeps letters, digits, dashes and underscores, in lower case, and makes
// dashes of spaces.
func anchorOf(title string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, title)
}

// linkedName is a link to a Go file with a name in it: [`verifier.go`](../verifier.go) `Verify`.
var linkedName = regexp.MustCompile("\\]\\(([^()\\s]+\\.go)\\) `([A-Za-z]+)`")

// CheckNames fails the test for each name that a page puts behind a link to a Go file,
// and that the file does not declare.
func CheckNames(t testing.TB, page string) {
	t.Helper()
	matches := linkedName.FindAllStringSubmatch(read(t, page), -1)
	if len(matches) == 0 {
		t.Errorf("%s names nothing", page)
	}
	for _, match := range matches {
		source := read(t, filepath.Join(filepath.Dir(page), filepath.FromSlash(match[1])))
		declared := regexp.MustCompile(`(?m)^(?:func (?:\([^)]*\) )?|type |var |const |\t)` + match[2] + `\b`)
		if !declared.MatchString(source) {
			t.Errorf("%s: %s declares no %s", page, match[1], match[2])
		}
	}
}
