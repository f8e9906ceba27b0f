package verify_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"

	"github.com/phala-go/phala/verify"
)

// steering is text that begins a line of its own, moves a terminal's cursor, turns text around and is far too long.
var steering = "\nforged\x1b[2J\u009b1A\u202egnp\u2066\u0007" + strings.Repeat("A", 100_000)

// plantedAt appends steering to the text with the number left, and counts left down.
func plantedAt(value any, left *int) any {
	switch v := value.(type) {
	case string:
		if *left--; *left == -1 {
			return v + steering
		}
	case []any:
		for i := range v {
			v[i] = plantedAt(v[i], left)
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			v[name] = plantedAt(v[name], left)
		}
	}
	return value
}

// Text of the cloud or of a guest is escaped and bounded in errors and reports: it is planted behind each text of the
// evidence alone.
func TestApp_ShowsNoTextThatSteersATerminal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c, trust := cloud(t)
		app := running(t, c, trust)
		for at, planted := 0, true; planted; at++ {
			planted = false
			s.TamperAnswer("Apps.GetAttestations", func(status int, body []byte) (int, []byte) {
				var value any
				if json.Unmarshal(body, &value) != nil {
					return status, body
				}
				left := at
				value = plantedAt(value, &left)
				planted = left < 0
				changed, err := json.Marshal(value)
				assert.NoError(t, err)
				return status, changed
			})
			result, err := verify.App(t.Context(), c, app.ID, s.AttestationPolicy())
			if err != nil {
				requirePlain(t, err.Error())
			}
			if result == nil {
				continue
			}
			for _, one := range result.Instances {
				requirePlain(t, one.CVM+one.Name+one.Status)
				if one.Err != nil {
					requirePlain(t, one.Err.Error())
				}
				if one.Report != nil {
					requirePlain(t, one.Report.String())
				}
			}
		}
	})
}

func requirePlain(t testing.TB, text string) {
	t.Helper()
	assert.Less(t, len(text), 20_000)
	assert.NotContains(t, text, "\nforged")
	for _, r := range text {
		if r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			t.Errorf("%U is in %.300q", r, text)
			return
		}
	}
}
