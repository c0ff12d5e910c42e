package persauth

import (
	"reflect"
	"testing"

	"github.com/persauth/persauth/internal/strictjson"
)

// What the short way takes, the JSON library takes too, and reads the same.
func FuzzPlain(f *testing.F) {
	for _, seed := range []string{
		`{"sub":"s","tenantId":"t","exp":1800000900,"role":["A","B"],"cnf":{"jkt":"x"},"aud":"a"}`,
		`{}`, `{"a":{"b":{"c":{"d":1}}}}`, `{"a":[[[1]]]}`, `{"a":-0,"b":0,"c":-1}`, `{"a":00}`, `{"a":-}`, `{"a":1.5}`,
		`{"a":1,"a":2}`, `{"a":{"b":1,"b":2}}`, `{"\u0061":1}`, `{"a":tru}`, `{"a":true,"b":false,"c":null}`, `{"a":nulll}`,
		`{"a":"\x7f"}`, "{\"a\":\"\x1f\"}", `{"a":"é"}`, `{"a":1}{}`, `{"a":1} `, ` {}`, `{"a":1,}`, `{,}`, `{"a"}`, `[]`, `{"role":[]}`,
		`{"role":["A"`, `{"role":["A"],"role":["B"]}`, `{"cnf":{}}`, `{"cnf":[]}`, `{"exp":9e9}`, `{"exp":253402300800}`, `{"tenantId":""}`,
	} {
		f.Add([]byte(seed))
	}
	tree, err := claimTree(ClaimNames{Business: "context.businessId"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var plain, full candidate
		plain.reset(raw, tree, fuzzTime)
		if !strictjson.ReadPlain(raw, tree, &plain) {
			return
		}
		full.reset(raw, tree, fuzzTime)
		if err := strictjson.ReadTree(raw, tree, &full); err != nil {
			t.Fatalf("taken, and the library says %v: %q", err, raw)
		}
		if !reflect.DeepEqual(plain, full) {
			t.Fatalf("read as %#v, not %#v: %q", plain.wrong, full.wrong, raw)
		}
	})
}
