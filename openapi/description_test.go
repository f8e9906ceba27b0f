package openapi_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type described struct {
	Description string `json:"description"`
}

type describedParameter struct {
	Name        string `json:"name"`
	In          string `json:"in"`
	Description string `json:"description"`
}

type description struct {
	OpenAPI string `json:"openapi"`
	Paths   map[string]map[string]struct {
		ID          string               `json:"operationId"`
		Summary     string               `json:"summary"`
		Description string               `json:"description"`
		Page        string               `json:"x-phala-page"`
		Parameters  []describedParameter `json:"parameters"`
		RequestBody *described           `json:"requestBody"`
		Responses   map[string]struct {
			Description string                     `json:"description"`
			Content     map[string]json.RawMessage `json:"content"`
		} `json:"responses"`
	} `json:"paths"`
	Components struct {
		Schemas map[string]struct {
			Description string                     `json:"description"`
			Properties  map[string]json.RawMessage `json:"properties"`
		} `json:"schemas"`
	} `json:"components"`
}

func readDescription(t *testing.T) description {
	t.Helper()
	data, err := os.ReadFile("openapi.json")
	require.NoError(t, err)
	var d description
	require.NoError(t, json.Unmarshal(data, &d))
	require.True(t, strings.HasPrefix(d.OpenAPI, "3.1."))
	require.NotEmpty(t, d.Paths)
	return d
}

func words(s string) int { return len(strings.Fields(s)) }

func TestDescription_IsComplete(t *testing.T) {
	t.Parallel()
	d := readDescription(t)
	for path, verbs := range d.Paths {
		for _, o := range verbs {
			assert.GreaterOrEqual(t, words(o.Summary), 2, o.ID)
			assert.GreaterOrEqual(t, words(o.Description), 4, o.ID)
			inPath := 0
			for _, p := range o.Parameters {
				assert.GreaterOrEqual(t, words(p.Description), 3, "%s %s", o.ID, p.Name)
				assert.NotEqual(t, "X-Phala-Version", p.Name, "the version is the client's affair")
				if p.In == "path" {
					inPath++
				}
			}
			assert.Equal(t, strings.Count(path, "{"), inPath, path)
			if o.RequestBody != nil {
				assert.GreaterOrEqual(t, words(o.RequestBody.Description), 3, o.ID)
			}
			assert.Len(t, o.Responses, 1, "%s: one success, and no schema on errors", o.ID)
			for code, r := range o.Responses {
				assert.True(t, strings.HasPrefix(code, "2"), o.ID)
				assert.NotEmpty(t, r.Description, o.ID)
			}
			assert.True(t, slices.Contains([]string{"", "page-pages", "page-total_pages", "cursor", "limit-offset", "skip-limit"}, o.Page), o.ID)
		}
	}
	for name, s := range d.Components.Schemas {
		assert.GreaterOrEqual(t, words(s.Description), 3, name)
		for field, raw := range s.Properties {
			var p described
			require.NoError(t, json.Unmarshal(raw, &p))
			assert.GreaterOrEqual(t, words(p.Description), 3, "%s.%s", name, field)
		}
	}
}

// null is not a type of its own here: an absent answer field and a null one decode alike.
func TestDescription_NoSchemaNamesNull(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("openapi.json")
	require.NoError(t, err)
	assert.NotContains(t, string(data), `"null"`)
	assert.NotContains(t, string(data), `"anyOf"`)
}
