package phalatest

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/openapi"
)

func TestEncoder_WritesAsTheAPIDoes(t *testing.T) {
	t.Parallel()
	at := openapi.Time{Time: time.Unix(1_700_000_000, 0)}
	for name, tt := range map[string]struct {
		value any
		want  string
	}{
		"absent is null":       {openapi.CVMURLs{App: "a"}, `{"app":"a","instance":""}`},
		"optional is null":     {openapi.CVMGateway{BaseDomain: "d"}, `{"base_domain":"d","cname":null}`},
		"a required list":      {openapi.OperationPage{}, `{"items":[],"next_cursor":null,"total":0}`},
		"an empty list":        {openapi.CVMComposition{Containers: []openapi.CVMContainer{}}, ``},
		"a number as id":       {openapi.NodeMeta{ID: "7", Name: "n"}, `{"id":7,"name":"n"}`},
		"a text as id":         {openapi.NodeMeta{ID: "nd_7", Name: "n"}, `{"id":"nd_7","name":"n"}`},
		"an id without a zero": {openapi.NodeMeta{ID: "", Name: "n"}, `{"id":"","name":"n"}`},
		"left out":             {openapi.CVMState{Status: "running"}, `{"status":"running"}`},
		"a flag":               {openapi.RecentQuote{Checksum: "c", Verified: true, CreatedAt: at}, `{"checksum":"c","verified":1,"created_at":"2023-11-14T22:13:20Z"}`},
		"raw, and none":        {openapi.AppRevisionDetail{ComposeFile: openapi.RawJSON(`{"a":1}`)}, ``},
		"money as a number":    {openapi.AppUsage{TotalCost: "0.5"}, `{"usage":[],"total":0,"total_cost":0.5}`},
		"within an object":     {object{"b": []openapi.NodeMeta{{ID: "1"}}, "a": nil}, `{"a":null,"b":[{"id":1,"name":""}]}`},
		"nothing":              {nil, `null`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var e encoder
			for range 2 { // the second time by the members that it remembers
				got, err := e.encode(tt.value)
				require.NoError(t, err)
				assert.True(t, json.Valid(got), "%s", got)
				if tt.want != "" {
					assert.Equal(t, tt.want, string(got))
				}
			}
		})
	}
	var e encoder
	got, err := e.encode(openapi.CVMComposition{Containers: []openapi.CVMContainer{{Created: at}}})
	require.NoError(t, err)
	assert.Contains(t, string(got), `"created":1700000000`)
	_, err = e.encode(object{"a": func() {}})
	require.Error(t, err)
}
