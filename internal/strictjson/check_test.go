package strictjson

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	many := strings.Repeat("0,", MaxItems-1) + "0"
	var members, apart strings.Builder
	for i := range 100 {
		fmt.Fprintf(&members, `"m%d":0,`, i)
		fmt.Fprintf(&apart, `{"id":%d},`, i)
	}
	for name, tt := range map[string]struct{ data, err string }{
		"as many as may be":          {"[" + many + "]", ""},
		"one too many":               {"[" + many + ",0]", "more than 50000 items"},
		"within a text":              {`["` + strings.Repeat("[,", 2*MaxItems) + `"]`, ""},
		"behind an escape":           {`["\\\"",` + many + "]", "more than 50000 items"},
		"behind a backslash":         {`["\\",` + many + "]", "more than 50000 items"},
		"members of an object":       {`{"a":[` + many + `],"b":0}`, ""},
		"many short ones":            {"[" + strings.Repeat("[0,0],", MaxItems-1) + "0]", ""},
		"far too many":               {"[" + strings.Repeat("["+strings.Repeat("0,", 999)+"0],", 1001) + "0]", "more than 1000000 values"},
		"an open text":               {`["` + many, ""},
		"not JSON":                   {"],,,}" + many, ""},
		"nested as deeply as may be": {strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth), ""},
		"nested too deeply":          {strings.Repeat("[", MaxDepth+1) + strings.Repeat("]", MaxDepth+1), "within one another"},
		"objects, too deeply":        {strings.Repeat(`{"a":`, MaxDepth+1) + "0" + strings.Repeat("}", MaxDepth+1), "within one another"},
		"a long number":              {`{"a":` + strings.Repeat("1", MaxNumber) + `}`, ""},
		"too long a number":          {`{"a":-1.` + strings.Repeat("1", MaxNumber) + `e+1}`, "a number has more than 128 characters"},
		"long digits in a text":      {`{"a":"` + strings.Repeat("1", 2*MaxNumber) + `"}`, ""},
		"twice":                      {`{"id":1,"b":2,"id":3}`, `the member "id" comes twice`},
		"twice, far apart":           {`{` + members.String() + `"m7":1}`, `the member "m7" comes twice`},
		"once among many":            {`{` + members.String() + `"x":1}`, ""},
		"in two cases":               {`{"id":1,"ID":2}`, `the members "id" and "ID" of an object differ in case only`},
		"in two cases, far apart":    {`{` + members.String() + `"M7":1}`, `differ in case only`},
		"by an escape":               {`{"id":1,"\u0069d":2}`, `the member "id" comes twice`},
		"by a Kelvin sign":           {`{"key":1,"\u212aey":2}`, "differ in case only"},
		"by a long s":                {`{"status":1,"ſtatus":2}`, "differ in case only"},
		"within a list":              {`[[{"a":{"id":1,"id":1}}]]`, `the member "id" comes twice`},
		"in objects of their own":    {`[` + apart.String() + `{"id":{"id":{"id":1}}}]`, ""},
		"after an object within":     {`{"a":{"b":1},"b":2}`, ""},
		"twice around an object":     {`{"a":1,"b":{"c":[{}]},"a":2}`, `the member "a" comes twice`},
		"as names and texts":         {`{"a":"a","b":"a","c":["a","a"]}`, ""},
		"names beyond ASCII":         {`{"é":1,"è":2,"日本":3}`, ""},
		"names that look alike":      {`{"a_b":1,"a\u007fb":2,"a[":3,"a{":4}`, ""},
		"empty names":                {`{"":1,"":2}`, `the member "" comes twice`},
		"spread out":                 {"{ \"a\" : 1 ,\n \"a\" : 2 }", `the member "a" comes twice`},
	} {
		err := Check([]byte(tt.data), MaxItems)
		if tt.err == "" {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorContains(t, err, tt.err, name)
		require.ErrorIs(t, err, ErrRules, name)
		assert.Less(t, len(err.Error()), 500, name)
	}
}

func TestCheck_BoundsPagesByTheirSize(t *testing.T) {
	t.Parallel()
	ten := strings.Repeat("0,", 9) + "0"
	for name, tt := range map[string]struct {
		data string
		bad  bool
	}{
		"a bare list":             {"[" + ten + "]", false},
		"a bare list, too long":   {"[" + ten + ",0]", true},
		"items of a page":         {`{"items":[` + ten + `],"total":10}`, false},
		"items, too many":         {`{"total":11,"items":[` + ten + `,0]}`, true},
		"a list within an item":   {`{"items":[{"ports":[` + ten + `,0]}]}`, false},
		"members are not items":   {`{"a":0,"b":0,"c":0,"d":0,"e":0,"f":0,"g":0,"h":0,"i":0,"j":0,"k":0}`, false},
		"two lists, each in form": {`{"items":[` + ten + `],"others":[` + ten + `]}`, false},
	} {
		assert.Equal(t, tt.bad, Check([]byte(tt.data), 10) != nil, name)
		assert.Equal(t, tt.bad, checkSlowly([]byte(tt.data), 10) != nil, name)
	}
}

// FuzzCheck compares the fast check with the one by the decoder of encoding/json, and with a map: an object that passes
// has as many members as a map with names in lower case.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{
		`{"id":1,"ID":2}`, `{"id":1,"\u0069d":2}`, `[[[{"a":{"b":[]},"a":1}]]]`, `{"a":[1,2,3],"ſ":"x\\"}`, `[1e5,-0.1,"\"",null,true]`,
		`{"a":1,"b":2,"c":3}`, strings.Repeat("[", 70) + strings.Repeat("]", 70), `{"a":` + strings.Repeat("9", 200) + `}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if !json.Valid(data) {
			_ = Check(data, 10)
			return
		}
		fast, slow := Check(data, 10), checkSlowly(data, 10)
		if (fast == nil) != (slow == nil) {
			t.Fatalf("%q: fast %v, slow %v", data, fast, slow)
		}
		var object map[string]json.RawMessage
		if slow != nil || json.Unmarshal(data, &object) != nil {
			return
		}
		names := map[string]bool{}
		for name := range object {
			names[fold(name)] = true
		}
		if len(names) != len(object) {
			t.Fatalf("%q: passes, and has names that encoding/json takes for one another", data)
		}
	})
}
