package verify_test

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/phalatest"
	"github.com/phala-go/phala/phalatest/quotetest"
	"github.com/phala-go/phala/verify"
)

// tamper changes the answer about all instances of an app.
func tamper(s *phalatest.Server, change func(answer map[string]any, instances []any)) {
	s.TamperAnswer("Apps.GetAttestations", func(status int, body []byte) (int, []byte) {
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

// The KMS and the gateway of the app may be anything; Repeat goes on.
func TestRepeat_GoesOnWhateverTheCloudShows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c, trust := cloud(t)
		app := running(t, c, trust).ID
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		round := 0
		for r, err := range verify.Repeat(ctx, c, app, s.AttestationPolicy(), verify.WithInterval(time.Minute), verify.WithKMS(attest.Policy{}, s.KMSRoot())) {
			if err != nil {
				require.ErrorIs(t, err, context.Canceled)
				break
			}
			switch round++; round {
			case 1:
				require.NoError(t, r.Err)
				tamper(s, func(m map[string]any, _ []any) { m["kms_guest_agent_info"] = nil })
			case 2:
				require.ErrorIs(t, r.Err, attest.ErrNotPossible)
				s.TamperAnswer("Apps.GetAttestations", nil)
				s.BootInstead("web-1", func(sp *quotetest.Spec) { sp.AppID[0] ^= 1 })
			case 3:
				require.ErrorIs(t, r.Err, attest.ErrAppID)
				cancel()
			}
		}
		assert.Equal(t, 3, round)
	})
}
