package strictjson

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/persauth/persauth/internal/jsontest"
)

const fixtures = "../../testdata/tokens.ndjson"

// record is a Receiver that writes down what it is told.
type record []string

func (r *record) Text(field int, s []byte) { *r = append(*r, fmt.Sprintf("text %d %q", field, s)) }
func (r *record) Value(m *Member, v []byte) {
	*r = append(*r, fmt.Sprintf("value %s %d %q", m.Name, m.Field, v))
}
func (r *record) Object(m *Member) { *r = append(*r, "object "+m.Name) }

func plantAll(f *testing.F, paths ...string) (tree []Member) {
	f.Helper()
	for i, path := range paths {
		var ok bool
		if tree, ok = Plant(tree, strings.Split(path, "."), i+1); !ok {
			f.Fatal(path)
		}
	}
	return tree
}

func seeds(f *testing.F) {
	f.Helper()
	for _, raw := range jsontest.Segments(f, fixtures, 1) {
		f.Add(raw)
	}
	for _, seed := range []string{
		`{"sub":"s","tenantId":"t","exp":1800000900,"role":["A","B"],"cnf":{"jkt":"x"},"aud":"a"}`,
		`{}`, `{"a":{"b":{"c":{"d":1}}}}`, `{"a":[[[1]]]}`, `{"a":-0,"b":0,"c":-1}`, `{"a":00}`, `{"a":-}`, `{"a":1.5}`,
		`{"a":1,"a":2}`, `{"a":{"b":1,"b":2}}`, `{"\u0061":1}`, `{"a":tru}`, `{"a":true,"b":false,"c":null}`, `{"a":nulll}`,
		`{"a":"\x7f"}`, "{\"a\":\"\x1f\"}", `{"a":"é"}`, `{"a":1}{}`, `{"a":1} `, ` {}`, `{"a":1,}`, `{,}`, `{"a"}`, `[]`, `{"role":[]}`,
		`{"role":["A"`, `{"role":["A"],"role":["B"]}`, `{"cnf":{}}`, `{"cnf":[]}`, `{"exp":9e9}`, `{"tenantId":""}`,
		`{"context":{"businessId":"b","x":{"y":[1,"2"]}}}`,
	} {
		f.Add([]byte(seed))
	}
}

// What the short way takes, the strict reader takes too, and reads the same.
func FuzzFast(f *testing.F) {
	seeds(f)
	tree := plantAll(f, "sub", "tenantId", "exp", "role", "cnf.jkt", "aud", "context.businessId", "a.b.c")
	f.Fuzz(func(t *testing.T, raw []byte) {
		var plain, full record
		if !ReadFast(raw, tree, &plain) {
			return
		}
		if err := ReadTree(raw, tree, &full); err != nil {
			t.Fatalf("taken, and the strict reader says %v: %q", err, raw)
		}
		if !slices.Equal(plain, full) {
			t.Fatalf("read as %q, not %q: %q", plain, full, raw)
		}
	})
}

// The strict reader takes exactly what another judgement calls strict.
func FuzzReadTree(f *testing.F) {
	seeds(f)
	tree := plantAll(f, "sub", "cnf.jkt", "context.businessId")
	f.Fuzz(func(t *testing.T, raw []byte) {
		err := ReadTree(raw, tree, new(record))
		strict, told := jsontest.ReadStrictly(raw, MaxDepth)
		if told && strict != (err == nil) {
			t.Fatalf("strict: %v, error: %v: %q", strict, err, raw)
		}
		if membersErr := Members(raw, func(string, jsontext.Value) {}); (membersErr == nil) != (err == nil) {
			t.Fatalf("Members: %v, ReadTree: %v: %q", membersErr, err, raw)
		}
	})
}
