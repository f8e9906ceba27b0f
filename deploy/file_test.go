package deploy_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/kms"
)

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
