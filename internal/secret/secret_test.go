package secret

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type inner struct {
	Token  *Text            `json:"token,omitempty"`
	Absent *Text            `json:"absent,omitempty"`
	Empty  Text             `json:"empty,omitempty"`
	Data   Bytes            `json:"data"`
	Next   *inner           `json:"next,omitempty"`
	Named  map[string]Text  `json:"named,omitempty"`
	Any    any              `json:"any"`
	List   []Text           `json:"list,omitempty"`
	Pair   [1]Text          `json:"pair"`
	Plain  json.RawMessage  `json:"plain,omitempty"`
	hidden Text             //nolint:unused // must not stop the copy
	Others map[string]inner `json:"others,omitempty"`
}

func sample() inner {
	text := Text(`a "<secret>"`)
	return inner{
		Token: &text, Data: Bytes(`{"t":"deep"}`), Named: map[string]Text{"k": "named"}, Any: map[string]any{"x": Text("any")},
		List: []Text{"one", ""}, Pair: [1]Text{"pair"}, Plain: json.RawMessage(`1`), hidden: "h",
		Next: &inner{Any: []Bytes{Bytes(`2`), nil}}, Others: map[string]inner{"o": {Token: &text}},
	}
}

const (
	whole = `{"token":"a \"<secret>\"","data":{"t":"deep"},"named":{"k":"named"},"any":{"x":"any"},"list":["one",""],"pair":["pair"],"plain":1,
		"next":{"data":null,"any":[2,null],"pair":[""]},"others":{"o":{"token":"a \"<secret>\"","data":null,"any":null,"pair":[""]}}}`
	hidden = `{"token":"[redacted]","data":"[12 bytes, hidden]","named":{"k":"[redacted]"},"any":{"x":"[redacted]"},"list":["[redacted]",""],
		"pair":["[redacted]"],"plain":1,"next":{"data":null,"any":["[1 bytes, hidden]",null],"pair":[""]},
		"others":{"o":{"token":"[redacted]","data":null,"any":null,"pair":[""]}}}`
)

func TestMarshal_WritesWhatJSONHides(t *testing.T) {
	t.Parallel()
	value, same := sample(), sample()
	for _, v := range []any{value, &value} {
		shown, err := Marshal(v)
		require.NoError(t, err)
		assert.JSONEq(t, whole, string(shown))
		masked, err := json.Marshal(v)
		require.NoError(t, err)
		assert.JSONEq(t, hidden, string(masked))
	}
	assert.Equal(t, same, value, "the value stays as it was")
	for in, want := range map[any]string{nil: "null", 1: "1", Text("t"): `"t"`, (*inner)(nil): "null"} {
		data, err := Marshal(in)
		require.NoError(t, err)
		assert.Equal(t, want, string(data))
	}
}

// What was written without its secrets is not read as if it had them.
func TestUnmarshal_RefusesWhatWasRedacted(t *testing.T) {
	t.Parallel()
	var back inner
	require.NoError(t, json.Unmarshal([]byte(whole), &back))
	assert.Equal(t, Text(`a "<secret>"`), *back.Token)
	assert.JSONEq(t, `{"t":"deep"}`, string(back.Data))
	require.ErrorIs(t, json.Unmarshal([]byte(`{"token":"[redacted]"}`), &back), ErrRedacted)
	require.ErrorIs(t, json.Unmarshal([]byte(`{"data":"[12 bytes, hidden]"}`), &back), ErrRedacted)
	require.Error(t, json.Unmarshal([]byte(`{"token":7}`), &back))
}

func TestMarshal_EndsOnACircle(t *testing.T) {
	t.Parallel()
	circle := &inner{}
	circle.Next = circle
	_, err := Marshal(circle)
	require.Error(t, err)
}

// A marked secret that ends up in a log is hidden, too.
func TestMarshal_NoTextOfJSONIsMarked(t *testing.T) {
	t.Parallel()
	var text Text
	require.NoError(t, json.Unmarshal([]byte("\"\xffstolen\""), &text))
	masked, err := json.Marshal(text)
	require.NoError(t, err)
	assert.Equal(t, `"[redacted]"`, string(masked))
	assert.Equal(t, Redacted, Text(revealed+"x").shown())
}
