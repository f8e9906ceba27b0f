package verify_test

import (
	"encoding/json"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/phalatest/quotetest"
	"github.com/phala-go/phala/verify"
)

// What the repository has is compared with the text that the hardware proves, not with one that the cloud shows.
func TestApp_WithDocument(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c, trust := cloud(t)
		app := running(t, c, trust).ID
		repository := []byte(`{"docker_compose_file":"services:\n  web:\n    image: nginx\n","pre_launch_script":"#!/bin/sh\n"}`)
		edited := []byte(`{"docker_compose_file":"services:\n  web:\n    image: nginx:2\n","pre_launch_script":"#!/bin/sh\n"}`)

		result, err := verify.App(t.Context(), c, app, s.AttestationPolicy(), verify.WithDocument(repository))
		require.NoError(t, err)
		assert.Equal(t, attest.Passed, result.Instances[0].Report.Check("document").Outcome)

		result, err = verify.App(t.Context(), c, app, s.AttestationPolicy(), verify.WithDocument(edited))
		var differs *compose.CompletionError
		require.ErrorAs(t, err, &differs)
		assert.Equal(t, "$.docker_compose_file", differs.Path)
		assert.Equal(t, 14, result.ExitCode())
		assert.Equal(t, attest.Passed, result.Instances[0].Report.Check(attest.CheckComposeText).Outcome)

		// The cloud runs the edited document, and shows the one of the repository.
		s.TamperEvidence("web-1", func(e *attest.Evidence) {
			var shown map[string]any
			require.NoError(t, json.Unmarshal([]byte(e.AppCompose), &shown))
			shown["docker_compose_file"] = "services:\n  web:\n    image: nginx:2\n"
			text, err := json.Marshal(shown)
			require.NoError(t, err)
			e.AppCompose = string(text)
		})
		_, err = verify.App(t.Context(), c, app, s.AttestationPolicy(), verify.WithDocument(edited))
		require.ErrorIs(t, err, attest.ErrComposeText)
		require.ErrorIs(t, err, attest.ErrCustom, "a text that the hardware does not prove counts for nothing")

		_, err = verify.App(t.Context(), c, app, s.AttestationPolicy(), verify.WithDocument([]byte("{")))
		require.ErrorContains(t, err, "WithDocument")
	})
}

func TestEvidence(t *testing.T) {
	t.Parallel()
	a := authority(t)
	_, evidence, err := a.Certificate(app())
	require.NoError(t, err)
	instance, err := verify.Evidence(t.Context(), evidence, expecting(t, a), verify.WithDocument([]byte(`{"name":"app"}`)))
	require.NoError(t, err)
	assert.True(t, instance.Report.Verified)
	assert.NotNil(t, instance.Bundle)
	_, other, err := a.Certificate(quotetest.Spec{AppCompose: "{}"})
	require.NoError(t, err)
	instance, err = verify.Evidence(t.Context(), other, expecting(t, a))
	require.ErrorIs(t, err, attest.ErrComposeHash)
	assert.False(t, instance.Report.Verified)
	instance, err = verify.Evidence(t.Context(), evidence, attest.Policy{InstanceID: "nonsense"})
	require.ErrorIs(t, err, attest.ErrPolicy)
	assert.Nil(t, instance)
}
