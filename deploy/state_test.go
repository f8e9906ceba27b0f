package deploy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/kms"
)

func TestParseState_RefusesWhatNoStateIs(t *testing.T) {
	t.Parallel()
	for want, text := range map[string]string{
		"unknown phase":             `{"phase":"flying"}`,
		"without a cvm":             `{"phase":"created"}`,
		"deployment state":          `[`,
		"comes twice":               `{"phase":"created","phase":"provisioned"}`,
		"the document has compose ": `{"phase":"encrypted","document":"{}","predicted":true,"compose_hash":"` + strings.Repeat("1", 64) + `"}`,
	} {
		_, err := deploy.ParseState([]byte(text))
		require.ErrorContains(t, err, want)
	}
}

func TestState_PrintsNoSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, with := cloud(t)
		st, err := deploy.Provision(t.Context(), c, spec(t), with.run...)
		require.NoError(t, err)
		require.NoError(t, deploy.Encrypt(t.Context(), c, st, secrets(), with.run...))
		text := string(st.EncryptedEnv)
		require.NotEmpty(t, text)
		assert.NotContains(t, fmt.Sprintf("%v %+v %#v", *st, *st, *st), text)
	})
}

func TestParsePending_RefusesWhatNoPendingIs(t *testing.T) {
	t.Parallel()
	sum, id := compose.Sum([]byte("{}")).String(), strings.Repeat("1", 40)
	for want, doc := range map[string]string{
		"pending change":               `[`,
		"comes twice":                  `{"kind":"update","kind":"replica"}`,
		`unknown kind "x"`:             `{"kind":"x"}`,
		"without a cvm":                `{"kind":"update"}`,
		"app: it has no app id":        `{"kind":"update","cvm":{"id":"x"}}`,
		"approval: it has no app id":   `{"kind":"instance","app":{"app_id":"` + id + `"}}`,
		"it has no compose hash":       `{"kind":"instance","app":{"app_id":"` + id + `"},"approval":{"app_id":"` + id + `"}}`,
		"app id mismatch":              `{"kind":"instance","app":{"app_id":"` + id + `"},"approval":{"app_id":"` + strings.Repeat("2", 40) + `","compose_hash":"` + sum + `","document":"{}"}}`,
		"its document has the compose": `{"kind":"instance","app":{"app_id":"` + id + `","document":"{}","compose_hash":"` + strings.Repeat("3", 64) + `"}}`,
	} {
		_, err := deploy.ParsePending([]byte(doc))
		require.ErrorContains(t, err, want)
	}
}

func TestPending_PrintsNoSecret(t *testing.T) {
	t.Parallel()
	p := deploy.Pending{Kind: deploy.PendingUpdate, Approval: deploy.Approval{Name: "web-1"}, Token: "hidden-token", EncryptedEnv: "hidden-ciphertext", Request: `{"encrypted_env":"hidden-env"}`}
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v %s %v %+v", p, p, p, &p, &p, &p), "hidden")
}

func TestSaveFile_IsPrivateAndWhole(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "app.json")
	require.NoError(t, os.WriteFile(path, []byte("before"), 0o644))
	text, hash := document(t, "services: {web: {image: nginx}}\n")
	app := &deploy.App{ID: kms.AppID{1}, Document: text, ComposeHash: hash, Secrets: []string{}, CVMs: []deploy.CVM{{ID: "a", Name: "b", ComposeHash: hash}}}
	require.NoError(t, deploy.SaveFile(path, app))
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	again, err := deploy.LoadFile(path, deploy.ParseApp)
	require.NoError(t, err)
	assert.Equal(t, app, again)
	left, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	assert.Len(t, left, 1, "no temporary file is left")

	require.Error(t, deploy.SaveFile(path, func() {}), "not JSON")
	again, err = deploy.LoadFile(path, deploy.ParseApp)
	require.NoError(t, err)
	assert.Equal(t, app, again, "the old content stays")
	require.Error(t, deploy.SaveFile(filepath.Join(path, "below"), app))

	_, err = deploy.LoadFile(path+".none", deploy.ParseApp)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.WriteFile(path, []byte("{"), 0o600))
	_, err = deploy.LoadFile(path, deploy.ParseApp)
	require.ErrorContains(t, err, path)
	file, err := os.Create(path)
	require.NoError(t, err)
	require.NoError(t, file.Truncate(17<<20))
	require.NoError(t, file.Close())
	_, err = deploy.LoadFile(path, deploy.ParseState)
	require.ErrorContains(t, err, "more than")
}

func TestLoadFile_RefusesWhatWasChanged(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "app.json")
	doc, err := spec(t).Compose.Canonical()
	require.NoError(t, err)
	app := &deploy.App{ID: kms.AppID{1}, Document: string(doc), ComposeHash: compose.Sum(doc)}
	require.NoError(t, deploy.SaveFile(path, app))
	saved, err := os.ReadFile(path)
	require.NoError(t, err)
	for want, content := range map[string]string{
		"its document has the compose hash": strings.Replace(string(saved), "nginx", "miner", 1),
		"app: it has no app id":             "{}",
	} {
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		_, err := deploy.LoadFile(path, deploy.ParseApp)
		require.ErrorContains(t, err, want)
	}
}
