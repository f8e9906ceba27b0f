package compose_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/compose"
)

// attestedDocument returns the app-compose text within the evidence of a real CVM.
func attestedDocument(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "shared", "evidence", "cases", name))
	if os.IsNotExist(err) {
		t.Skip("the real evidence is not here")
	}
	require.NoError(t, err)
	var find func(value any) string
	find = func(value any) string {
		switch v := value.(type) {
		case map[string]any:
			for key, inner := range v {
				if text, ok := inner.(string); ok && (key == "app_compose" || key == "compose_file") && strings.HasPrefix(text, "{") {
					return text
				}
				if text := find(inner); text != "" {
					return text
				}
			}
		case []any:
			for _, inner := range v {
				if text := find(inner); text != "" {
					return text
				}
			}
		case string:
			var inner any
			if strings.HasPrefix(v, "{") && json.Unmarshal([]byte(v), &inner) == nil {
				return find(inner)
			}
		}
		return ""
	}
	var all any
	require.NoError(t, json.Unmarshal(data, &all))
	text := find(all)
	require.NotEmpty(t, text)
	return text
}

// What real CVMs ran follows from what their owners can have sent: the members that are theirs, and what the platform
// of that time set otherwise than today.
func TestCompareCompleted_RealDocuments(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		theirs  []string // members that are sent beside docker_compose_file, name and allowed_envs
		version string
	}{
		"private-ml-sdk-sample.json": {[]string{"default_gateway_domain"}, "0.0.8"},
		"solver-alice.json":          {[]string{"default_gateway_domain"}, "0.0.7"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ran := attestedDocument(t, name)
			var members map[string]json.RawMessage
			require.NoError(t, json.Unmarshal([]byte(ran), &members))
			sent := map[string]json.RawMessage{}
			for _, member := range append(tt.theirs, "docker_compose_file", "name", "allowed_envs") {
				sent[member] = members[member]
			}
			text, err := json.Marshal(sent)
			require.NoError(t, err)
			c, err := compose.CompareCompleted(text, []byte(ran))
			require.NoError(t, err)
			require.NotNil(t, c.PreLaunch)
			assert.Equal(t, tt.version, c.PreLaunch.Version)
			assert.Equal(t, compose.PreLaunchAttested, c.PreLaunch.Form)

			_, err = compose.CompareCompleted(text, []byte(strings.Replace(ran, "Cloud Pre-Launch Script", "Cloud Pre-Launch script", 1)))
			require.ErrorContains(t, err, "$.pre_launch_script", "one character of the script")

			for _, member := range tt.theirs {
				delete(sent, member)
			}
			text, err = json.Marshal(sent)
			require.NoError(t, err)
			_, err = compose.CompareCompleted(text, []byte(ran))
			require.ErrorContains(t, err, "$."+tt.theirs[0], "an added member that is no default of today")
		})
	}
}

// The table of known scripts is the one that was collected.
func TestPreLaunchScripts_AreTheCollectedOnes(t *testing.T) {
	t.Parallel()
	table, err := os.ReadFile(filepath.Join("..", "..", "shared", "reference", "prelaunch.tsv"))
	if os.IsNotExist(err) {
		t.Skip("the collected table is not here")
	}
	require.NoError(t, err)
	var want []compose.PreLaunchScript
	for _, line := range strings.Split(strings.TrimSpace(string(table)), "\n")[1:] {
		cells := strings.Split(line, "\t")
		want = append(want, compose.PreLaunchScript{Version: cells[0], SHA256: cells[1], Form: compose.PreLaunchForm(cells[2]), Date: cells[3]})
	}
	assert.Equal(t, want, compose.PreLaunchScripts())
}
