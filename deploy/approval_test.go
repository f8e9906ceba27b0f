package deploy_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/kms"
)

func document(t *testing.T, dockerCompose string) (string, compose.Hash) {
	t.Helper()
	app, err := compose.New(dockerCompose, compose.WithPreLaunchScript("#!/bin/sh\n"))
	require.NoError(t, err)
	text, err := app.Canonical()
	require.NoError(t, err)
	return string(text), compose.Sum(text)
}

func approval(t *testing.T) *deploy.Approval {
	t.Helper()
	before, beforeHash := document(t, "services:\n  web:\n    image: nginx:1\n")
	after, hash := document(t, "services:\n  web:\n    image: nginx:2\n")
	return &deploy.Approval{
		Kind: deploy.PendingUpdate, Name: "web-1", App: kms.AppID{1}, ChainID: 1337,
		ComposeHash: hash, Document: after, Before: before, BeforeHash: beforeHash,
	}
}

func TestApproval_HashFollowsFromTheDocument(t *testing.T) {
	t.Parallel()
	require.NoError(t, approval(t).Check())
	for name, change := range map[string]func(*deploy.Approval){
		"another document": func(a *deploy.Approval) { a.Document = a.Before },
		"another hash":     func(a *deploy.Approval) { a.ComposeHash[0] ^= 1 },
		"another before":   func(a *deploy.Approval) { a.Before = a.Document },
		"no app":           func(a *deploy.Approval) { a.App = kms.AppID{} },
		"no hash":          func(a *deploy.Approval) { a.ComposeHash = compose.Hash{} },
	} {
		a := approval(t)
		change(a)
		require.Error(t, a.Check(), name)
		data, err := json.Marshal(a)
		require.NoError(t, err)
		_, err = deploy.ParseApproval(data)
		require.Error(t, err, name)
	}
}

func TestApproval_DiffShowsWhatChanges(t *testing.T) {
	t.Parallel()
	a := approval(t)
	diff, err := a.Diff()
	require.NoError(t, err)
	assert.Contains(t, diff, "-      image: nginx:1\n+      image: nginx:2\n")
	assert.NotContains(t, diff, "pre_launch_script")

	a.Document, a.ComposeHash = a.Before, a.BeforeHash
	diff, err = a.Diff()
	require.NoError(t, err)
	assert.Empty(t, diff)

	a.Document, a.ComposeHash = document(t, "services:\n  web:\n    image: \"\u202e\"\n")
	a.Before, a.BeforeHash = "", compose.Hash{}
	diff, err = a.Diff()
	require.NoError(t, err)
	assert.NotContains(t, diff, "\u202e", "text that runs backwards")
	assert.Contains(t, diff, "+docker_compose_file:")
}
