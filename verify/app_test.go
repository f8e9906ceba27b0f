package verify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/phalatest"
	"github.com/phala-go/phala/verify"
)

func TestApp_EveryInstance(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c, trust := cloud(t)
		first := running(t, c, trust)
		app := first.ID
		second, err := deploy.Replicate(t.Context(), c, first, deploy.ReplicaSpec{NodeID: 12}, trust)
		require.NoError(t, err)

		policy := s.AttestationPolicy()
		result, err := verify.App(t.Context(), c, app, policy)
		require.NoError(t, err)
		require.Len(t, result.Instances, 2)
		assert.Equal(t, first.Last.CVM.VMUUID, result.Instances[0].CVM)
		assert.Equal(t, second.Last.CVM.VMUUID, result.Instances[1].CVM)
		assert.NotEqual(t, result.Instances[0].Report.Attested.InstanceID, result.Instances[1].Report.Attested.InstanceID)
		assert.NotEqual(t, result.Instances[0].Report.Attested.Devices, result.Instances[1].Report.Attested.Devices, "each node is a machine of its own")

		s.Fault("Apps.ListCVMs", phalatest.Fault{Status: http.StatusNotFound})
		result, err = verify.App(t.Context(), c, app, policy)
		require.NoError(t, err, "the app of another workspace")
		assert.Len(t, result.Instances, 2)
		s.Fault("Apps.ListCVMs", phalatest.Fault{Status: http.StatusBadRequest})
		_, err = verify.App(t.Context(), c, app, policy)
		require.ErrorContains(t, err, "400")

		policy.Devices = policy.Devices[:1]
		result, err = verify.App(t.Context(), c, app, policy)
		require.ErrorIs(t, err, attest.ErrDevice)
		var unverified *verify.Error
		require.ErrorAs(t, err, &unverified)
		assert.Equal(t, second.Last.CVM.VMUUID, unverified.CVM)
		require.NoError(t, result.Instances[0].Err)
		data, err := json.Marshal(result.Instances[1])
		require.NoError(t, err)
		assert.Contains(t, string(data), `"error":"cvm \"`+second.Last.CVM.VMUUID)

		_, err = c.CVMs.Stop(t.Context(), second.Last.CVM.VMUUID)
		require.NoError(t, err)
		require.NoError(t, c.CVMs.WaitFor(t.Context(), second.Last.CVM.VMUUID, "stopped"))
		result, err = verify.App(t.Context(), c, app, policy)
		require.NoError(t, err, "what does not run has nothing to show")
		assert.False(t, result.Instances[1].Report.Verified)
		require.ErrorIs(t, result.Instances[1].Err, attest.ErrNotPossible)
		assert.Equal(t, "stopped", result.Instances[1].Status)

		_, err = c.CVMs.Stop(t.Context(), first.Last.CVM.VMUUID)
		require.NoError(t, err)
		require.NoError(t, c.CVMs.WaitFor(t.Context(), first.Last.CVM.VMUUID, "stopped"))
		_, err = verify.App(t.Context(), c, app, policy)
		require.ErrorIs(t, err, attest.ErrNotPossible)
		require.ErrorContains(t, err, "none of its 2 instances runs")
	})
}

func TestApp_HiddenInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, trust := cloud(t)
		first := running(t, c, trust)
		second, err := deploy.Replicate(t.Context(), c, first, deploy.ReplicaSpec{}, trust)
		require.NoError(t, err)
		s.TamperResponse("Apps.GetAttestations", func(status int, body []byte) (int, []byte) {
			return status, rewritten(body, func(m map[string]any) { m["instances"] = m["instances"].([]any)[:1] })
		})
		result, err := verify.App(t.Context(), c, first.ID, s.AttestationPolicy())
		require.ErrorIs(t, err, attest.ErrNotPossible)
		require.ErrorContains(t, err, "not among the instances")
		require.Len(t, result.Instances, 2)
		assert.Equal(t, second.Last.CVM.VMUUID, result.Instances[1].CVM)
		require.Error(t, result.Instances[1].Err)
	})
}

func TestApp_CollateralFetchedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, trust := cloud(t)
		first := running(t, c, trust)
		_, err := deploy.Replicate(t.Context(), c, first, deploy.ReplicaSpec{}, trust)
		require.NoError(t, err)
		_, err = verify.App(t.Context(), c, first.ID, attest.Policy{Roots: s.AttestationPolicy().Roots})
		require.NoError(t, err)
		asked := 0
		for _, operation := range operations(s) {
			if operation == "Attestations.Verify" {
				asked++
			}
		}
		assert.Equal(t, 1, asked)
	})
}

func TestApp_Refuses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c, trust := cloud(t)
		r := running(t, c, trust)
		_, err := verify.App(t.Context(), c, r.ID, attest.Policy{AppID: kms.AppID{1}})
		require.ErrorIs(t, err, attest.ErrPolicy)
		_, err = verify.App(t.Context(), c, r.ID, attest.Policy{Measurements: []attest.KnownGood{{}}})
		require.ErrorIs(t, err, attest.ErrPolicy)
		_, err = verify.App(t.Context(), c, r.ID, attest.Policy{})
		require.ErrorIs(t, err, attest.ErrQuoteSignature, "Intel is whom to trust where nobody else is named")
		_, err = verify.App(t.Context(), c, kms.AppID{7}, s.AttestationPolicy())
		require.ErrorContains(t, err, "verify app 07")

		s.TamperResponse("Apps.GetAttestations", func(status int, body []byte) (int, []byte) {
			return status, rewritten(body, func(m map[string]any) { m["instances"].([]any)[0].(map[string]any)["quote"] = "no hex" })
		})
		result, err := verify.App(t.Context(), c, r.ID, s.AttestationPolicy())
		require.ErrorContains(t, err, "want its bytes, hexadecimal digits")
		assert.Nil(t, result.Instances[0].Report)
	})
}

// Whoever knows an app's id can verify it, without an account.
func TestApp_WithoutAnAccount(t *testing.T) {
	s := phalatest.New(t)
	c, err := s.Client()
	require.NoError(t, err)
	r := running(t, c, trusting(s))
	policy := s.AttestationPolicy()
	policy.ComposeHashes = []compose.Hash{r.ComposeHash}
	result, err := verify.App(t.Context(), keyless(t, s), r.ID, policy)
	require.NoError(t, err)
	require.Len(t, result.Instances, 1)
	assert.True(t, result.Instances[0].Report.Verified)
}

// An app that keeps its attestation private shows it to its owner alone; its quote is not published.
func TestApp_PrivateQuoteIsNotPublished(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c, trust := cloud(t)
		first := running(t, c, trust)
		app := first.ID
		for _, operation := range []string{"Apps.ListCVMs", "CVMs.Get"} {
			s.TamperResponse(operation, func(status int, body []byte) (int, []byte) {
				return status, bytes.ReplaceAll(body, []byte(`"public_tcbinfo":true`), []byte(`"public_tcbinfo":false`))
			})
		}
		policy := s.AttestationPolicy()
		_, err := verify.App(t.Context(), c, app, policy)
		require.NoError(t, err, "with collateral from a source that the policy names")
		policy.Collateral = nil
		_, err = verify.App(t.Context(), c, app, policy)
		require.ErrorIs(t, err, attest.ErrNotPossible)
		require.ErrorContains(t, err, "keeps its attestation private")
		_, err = verify.CVM(t.Context(), c, first.CVMs[0].ID, policy)
		require.ErrorIs(t, err, attest.ErrNotPossible)
		require.ErrorContains(t, err, "attest.IntelPCS")
		all, err := c.Apps.GetAttestations(t.Context(), app.String())
		require.NoError(t, err)
		for _, r := range s.Requests() {
			assert.NotContains(t, string(r.Body), all.Instances[0].Quote)
		}
	})
}

// Right after a boot the cloud may not have asked the guest yet.
func TestApp_WaitsForEvidence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c, trust := cloud(t)
		app := running(t, c, trust).ID
		began := time.Now()
		s.TamperEvidence("web-1", func(e *attest.Evidence) {
			if time.Since(began) < 20*time.Second {
				e.Quote = nil
			}
		})
		_, err := verify.App(t.Context(), c, app, s.AttestationPolicy())
		require.ErrorIs(t, err, attest.ErrNotPossible)
		_, err = verify.App(t.Context(), c, app, s.AttestationPolicy(), verify.WithWait(time.Minute))
		require.NoError(t, err)
		assert.Less(t, time.Since(began), 30*time.Second)

		s.TamperEvidence("web-1", func(e *attest.Evidence) { e.Quote = nil })
		_, err = verify.App(t.Context(), c, app, s.AttestationPolicy(), verify.WithWait(time.Minute))
		require.ErrorIs(t, err, attest.ErrNotPossible)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err = verify.App(ctx, c, app, s.AttestationPolicy(), verify.WithWait(time.Minute))
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

func TestResult_Bundles(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c, trust := cloud(t)
		app := running(t, c, trust).ID
		result, err := verify.App(t.Context(), c, app, s.AttestationPolicy())
		require.NoError(t, err)
		text, err := json.Marshal(result.Bundles())
		require.NoError(t, err)
		bundles, err := attest.ParseBundles(text)
		require.NoError(t, err)
		require.Len(t, bundles, 3, "the instance, the KMS and the gateway")
		assert.Equal(t, app, bundles[0].Policy.AppID, "the app is expected, also later")
		requests := len(s.Requests())
		policy := bundles[0].Policy
		policy.Roots = s.AttestationPolicy().Roots
		report, err := bundles[0].Verify(t.Context(), policy)
		require.NoError(t, err)
		assert.True(t, report.Verified)
		assert.Len(t, s.Requests(), requests)
	})
}

// tamper changes the answer about all instances of an app.
func tamper(s *phalatest.Server, change func(answer map[string]any, instances []any)) {
	s.TamperResponse("Apps.GetAttestations", func(status int, body []byte) (int, []byte) {
		return status, rewritten(body, func(m map[string]any) { change(m, m["instances"].([]any)) })
	})
}

// A CVM that proves nothing hides behind the evidence of another one, instance id and all.
func TestApp_EvidenceOfAnotherInstance(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c, trust := cloud(t)
		first := running(t, c, trust)
		_, err := deploy.Replicate(t.Context(), c, first, deploy.ReplicaSpec{}, trust)
		require.NoError(t, err)
		tamper(s, func(_ map[string]any, instances []any) {
			uuid := instances[1].(map[string]any)["vm_uuid"]
			copied := map[string]any{}
			for k, v := range instances[0].(map[string]any) {
				copied[k] = v
			}
			copied["vm_uuid"], copied["name"] = uuid, "web-2"
			instances[1] = copied
		})
		result, err := verify.App(t.Context(), c, first.ID, s.AttestationPolicy())
		require.ErrorIs(t, err, attest.ErrInstanceID)
		require.NoError(t, result.Instances[0].Err)
		require.Error(t, result.Instances[1].Err)
		assert.Equal(t, 14, result.ExitCode())
		text, err := result.JUnit()
		require.NoError(t, err)
		assert.Contains(t, string(text), `failures="1"`)
	})
}

// The cloud reports a state in which it need show nothing, and shows evidence that fails.
func TestApp_FailingEvidenceOfAStoppedInstance(t *testing.T) {
	t.Parallel()
	for _, status := range []string{"stopped", "RUNNING", "paused"} {
		t.Run(status, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, c, trust := cloud(t)
				first := running(t, c, trust)
				_, err := deploy.Replicate(t.Context(), c, first, deploy.ReplicaSpec{}, trust)
				require.NoError(t, err)
				policy := s.AttestationPolicy()
				all, err := verify.App(t.Context(), c, first.ID, policy)
				require.NoError(t, err)
				policy.InstanceID = all.Instances[0].Report.Attested.InstanceID
				tamper(s, func(_ map[string]any, instances []any) { instances[1].(map[string]any)["status"] = status })
				result, err := verify.App(t.Context(), c, first.ID, policy)
				require.ErrorIs(t, err, attest.ErrInstanceID)
				assert.Equal(t, 14, result.ExitCode())
			})
		})
	}
}

// Whatever the cloud answers about an app, no panic follows, nothing passes that did not pass before, and its text does
// not reach a terminal unescaped.
func TestApp_NonsenseAnswers(t *testing.T) {
	t.Parallel()
	evil := "\x1b[2J\r\u202e" + string(rune(0x9b))
	for name, change := range map[string]func(m map[string]any, i map[string]any){
		"another app":              func(m, _ map[string]any) { m["app_id"] = "1111111111111111111111111111111111111111" },
		"an app id of nonsense":    func(m, _ map[string]any) { m["app_id"] = evil },
		"no instances":             func(m, _ map[string]any) { m["instances"] = nil },
		"an error of nonsense":     func(_, i map[string]any) { i["error"], i["quote"], i["app_certificates"] = evil, nil, nil },
		"a name of nonsense":       func(_, i map[string]any) { i["name"], i["vm_uuid"], i["quote"] = evil, evil, "00" },
		"an instance id":           func(_, i map[string]any) { i["instance_id"] = evil },
		"no quote, no certificate": func(_, i map[string]any) { i["quote"], i["app_certificates"] = nil, nil },
		"an empty quote":           func(_, i map[string]any) { i["quote"], i["app_certificates"] = "", []any{} },
		"no log":                   func(_, i map[string]any) { i["tcb_info"].(map[string]any)["event_log"] = []any{} },
		"no tcb_info":              func(_, i map[string]any) { i["tcb_info"], i["compose_file"] = nil, nil },
		"a status of nonsense":     func(_, i map[string]any) { i["status"], i["quote"] = evil, "00" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, c, trust := cloud(t)
				app := running(t, c, trust).ID
				tamper(s, func(m map[string]any, instances []any) { change(m, instances[0].(map[string]any)) })
				result, err := verify.App(t.Context(), c, app, s.AttestationPolicy())
				require.Error(t, err)
				texts := []string{err.Error()}
				if result != nil {
					assert.NotZero(t, result.ExitCode())
					for _, format := range []func() ([]byte, error){
						result.JUnit, func() ([]byte, error) { return result.SARIF("f") }, func() ([]byte, error) { return json.Marshal(result) },
					} {
						text, err := format()
						require.NoError(t, err)
						texts = append(texts, string(text))
					}
				}
				for _, text := range texts {
					assert.NotContains(t, text, "\x1b")
					assert.NotContains(t, text, "\r")
				}
			})
		})
	}
}

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
