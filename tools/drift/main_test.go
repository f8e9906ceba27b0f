package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const description = "../../openapi/openapi.json"

// changed returns our description as published after a change.
func changed(t *testing.T, change func(doc map[string]any)) *document {
	t.Helper()
	data, err := os.ReadFile(description)
	require.NoError(t, err)
	var doc map[string]any
	require.NoError(t, json.Unmarshal(data, &doc))
	if change != nil {
		change(doc)
	}
	data, err = json.Marshal(doc)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "published.json")
	require.NoError(t, os.WriteFile(file, data, 0o600))
	read, err := readDocument(file)
	require.NoError(t, err)
	return read
}

func at(doc map[string]any, path ...string) map[string]any {
	for _, name := range path {
		doc = doc[name].(map[string]any)
	}
	return doc
}

func TestCompare_SyntheticChanges(t *testing.T) {
	t.Parallel()
	ours := changed(t, nil)
	names, err := readGoNames("../../openapi/models.gen.go")
	require.NoError(t, err)
	for name, tt := range map[string]struct {
		change func(doc map[string]any)
		want   []string // each one is a line; the schema may be used elsewhere, too
	}{
		"none": {},
		"a new operation": {
			change: func(doc map[string]any) {
				at(doc, "paths")["/api/v1/moons"] = map[string]any{"get": map[string]any{"responses": map[string]any{"200": map[string]any{}}}}
			},
			want: []string{"+ GET /api/v1/moons: a new operation"},
		},
		"an operation that is gone": {
			change: func(doc map[string]any) { delete(at(doc, "paths", "/api/v1/cvms/{cvm_id}"), "delete") },
			want:   []string{"- DELETE /api/v1/cvms/{}: not published; client.CVMsService.Delete"},
		},
		"another name of a path parameter is no change": {
			change: func(doc map[string]any) {
				paths := at(doc, "paths")
				paths["/api/v1/cvms/{id}"] = paths["/api/v1/cvms/{cvm_id}"]
				delete(paths, "/api/v1/cvms/{cvm_id}")
			},
		},
		"a new query parameter": {
			change: func(doc map[string]any) {
				op := at(doc, "paths", "/api/v1/apps", "get")
				op["parameters"] = append(op["parameters"].([]any), map[string]any{"name": "moon", "in": "query", "schema": map[string]any{"type": "boolean"}})
			},
			want: []string{"+ GET /api/v1/apps ?moon (boolean): openapi.AppsListParams, client.AppsService.List"},
		},
		"a parameter that is gone": {
			change: func(doc map[string]any) {
				op := at(doc, "paths", "/api/v1/apps", "get")
				var kept []any
				for _, p := range op["parameters"].([]any) {
					if p.(map[string]any)["name"] != "search" {
						kept = append(kept, p)
					}
				}
				op["parameters"] = kept
			},
			want: []string{"- GET /api/v1/apps ?search: not published; openapi.AppsListParams.Search"},
		},
		"a new field of a request": {
			change: func(doc map[string]any) {
				at(doc, "components", "schemas", "CreateCVMRequest", "properties")["moon"] = map[string]any{"type": "string"}
			},
			want: []string{"+ POST /api/v1/cvms request moon (string): openapi.CreateCVMRequest"},
		},
		"a field that is required": {
			change: func(doc map[string]any) {
				s := at(doc, "components", "schemas", "CreateCVMRequest")
				required, _ := s["required"].([]any)
				s["required"] = append(required, "env_keys")
			},
			want: []string{"~ POST /api/v1/cvms request env_keys: is required now; openapi.CreateCVMRequest.EnvKeys"},
		},
		"another type in an answer": {
			change: func(doc map[string]any) {
				at(doc, "components", "schemas", "CVMState", "properties")["in_progress"] = map[string]any{"type": []any{"string", "null"}}
			},
			want: []string{"~ GET /api/v1/cvms/{}/state answer in_progress: is string, described as boolean; openapi.CVMState.InProgress"},
		},
		"a field of an answer that is gone": {
			change: func(doc map[string]any) {
				delete(at(doc, "components", "schemas", "CVMState", "properties"), "status")
			},
			want: []string{"- GET /api/v1/cvms/{}/state answer status: not published; openapi.CVMState.Status"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := compare(ours, changed(t, tt.change), names)
			if len(tt.want) == 0 {
				assert.Empty(t, found)
			}
			for _, line := range tt.want {
				assert.Contains(t, found, line)
			}
		})
	}
}

func TestWithout_KnownDifferencesAreLeftOut(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []string{"b"}, without([]string{"a", "b"}, []string{"a", "c"}))
}

func TestReadDocument_RefusesWhatIsNoDescription(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "empty.json")
	require.NoError(t, os.WriteFile(file, []byte("{}"), 0o600))
	_, err := readDocument(file)
	require.ErrorContains(t, err, "has no paths")
}
