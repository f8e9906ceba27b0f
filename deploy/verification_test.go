package deploy_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/kms/onchain"
	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/phalatest"
	"github.com/phala-go/phala/phalatest/quotetest"
)

func TestRun_ProvesEveryCheckOfTheHardware(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		r, err := deploy.Run(t.Context(), c, spec(t), with.run...)
		require.NoError(t, err)
		require.NotNil(t, r.Last.Report)
		assert.True(t, r.Last.Report.Verified)
		outcomes := map[attest.CheckName]attest.Outcome{}
		for _, check := range r.Last.Report.Checks {
			outcomes[check.Name] = check.Outcome
		}
		assert.Greater(t, len(outcomes), 25)
		for name, outcome := range outcomes {
			switch name {
			case attest.CheckTCBEvaluation, attest.CheckAdvisories, attest.CheckServiceTD, attest.CheckReportData, attest.CheckCloud:
				assert.Equal(t, attest.NotAsked, outcome, name)
			default:
				assert.Equal(t, attest.Passed, outcome, name)
			}
		}
		assert.Equal(t, r.ID, r.Last.Report.Attested.AppID)
		assert.Equal(t, r.ComposeHash, r.Last.Report.Attested.ComposeHash)
		assert.Equal(t, r.Last.CVM.InstanceID, r.Last.Report.Attested.InstanceID)
		_, err = json.Marshal(r)
		require.NoError(t, err)
		assert.NotContains(t, operations(s), "CVMs.GetAttestation", "one question was enough")
	})
}

// flipped changes one bit in the middle.
func flipped(text string) string {
	b := []byte(text)
	b[len(b)/2] ^= 1
	return string(b)
}

// A compose changed by one byte, anywhere between the caller and the hardware.
func TestRun_EndsAtOneOtherByteOfTheCompose(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*phalatest.Server)
		is     []error // none: a *MismatchError
	}{
		"the cloud hashes another text": {change: func(s *phalatest.Server) {
			s.TamperResponse("CVMs.Provision", func(status int, body []byte) (int, []byte) {
				return status, rewritten(body, func(m map[string]any) { m["compose_hash"] = flippedHash(m["compose_hash"].(string)) })
			})
		}},
		"the cloud shows another hash of the CVM": {change: func(s *phalatest.Server) {
			s.TamperResponse("CVMs.Get", func(status int, body []byte) (int, []byte) {
				return status, rewritten(body, func(m map[string]any) { m["compose_hash"] = flippedHash(m["compose_hash"].(string)) })
			})
		}},
		"the host boots another text": {
			change: func(s *phalatest.Server) {
				s.BootInstead("web-1", func(sp *quotetest.Spec) { sp.AppCompose = flipped(sp.AppCompose) })
			},
			is: []error{attest.ErrComposeHash},
		},
		"the host boots another text and the cloud shows the right one": {
			change: func(s *phalatest.Server) {
				var right string
				s.BootInstead("web-1", func(sp *quotetest.Spec) { right, sp.AppCompose = sp.AppCompose, flipped(sp.AppCompose) })
				s.TamperEvidence("web-1", func(e *attest.Evidence) { e.AppCompose = right })
			},
			is: []error{attest.ErrComposeHash, attest.ErrComposeText},
		},
		"the cloud shows another text": {
			change: func(s *phalatest.Server) {
				s.TamperEvidence("web-1", func(e *attest.Evidence) { e.AppCompose = flipped(e.AppCompose) })
			},
			is: []error{attest.ErrComposeText},
		},
		"the cloud shows another event": {
			change: func(s *phalatest.Server) {
				s.TamperEvidence("web-1", func(e *attest.Evidence) {
					i := slices.IndexFunc(e.EventLog, func(e attest.Event) bool { return e.Name == "compose-hash" })
					e.EventLog[i].Payload[0] ^= 1
				})
			},
			is: []error{attest.ErrEventDigest},
		},
		"the cloud shows another event and its digest": {
			change: func(s *phalatest.Server) {
				s.TamperEvidence("web-1", func(e *attest.Evidence) {
					i := slices.IndexFunc(e.EventLog, func(e attest.Event) bool { return e.Name == "compose-hash" })
					other := slices.Clone(e.EventLog[i].Payload)
					other[0] ^= 1
					e.EventLog[i], _ = quotetest.RuntimeEvent(1, "compose-hash", other)
				})
			},
			is: []error{attest.ErrReplay},
		},
		"the host was told another hash at start": {
			change: func(s *phalatest.Server) {
				s.ForgeQuote("web-1", quotetest.ChangeQuote(func(q *attest.Quote) { q.MRConfigID[5] ^= 1 }))
			},
			is: []error{attest.ErrMRConfigID},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, c, with := cloud(t)
				tt.change(s)
				r, err := deploy.Run(t.Context(), c, spec(t), with.run...)
				require.Error(t, err)
				assert.Nil(t, r)
				var mismatch *deploy.MismatchError
				if len(tt.is) == 0 {
					require.ErrorAs(t, err, &mismatch)
					return
				}
				var unverified *deploy.VerificationError
				require.ErrorAs(t, err, &unverified)
				for _, is := range tt.is {
					require.ErrorIs(t, err, is)
				}
				assert.False(t, unverified.Report.Verified)
				cvm, err := c.CVMs.Get(t.Context(), "web-1")
				require.NoError(t, err)
				assert.Equal(t, cvm.VMUUID, unverified.CVM)
				assert.EqualValues(t, "running", cvm.Status, "it is for the caller to stop it")
			})
		})
	}
}

// Something between the caller and the cloud changes one byte of what is sent.
func TestRun_EndsAtOneOtherByteOfTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, with := cloud(t)
		c, err := s.Client(client.WithHTTPClient(&http.Client{Transport: tampering{s.Transport()}}))
		require.NoError(t, err)
		_, err = deploy.Run(t.Context(), c, spec(t), with.run...)
		var mismatch *deploy.MismatchError
		require.ErrorAs(t, err, &mismatch)
		assert.Equal(t, deploy.ComparedComposeHash, mismatch.What)
		assert.NotContains(t, operations(s), "CVMs.Create")
	})
}

type tampering struct{ http.RoundTripper }

func (t tampering) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "/provision") {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(strings.NewReader(strings.Replace(string(body), "image: nginx", "image: nginy", 1)))
	}
	return t.RoundTripper.RoundTrip(r)
}

func flippedHash(hash string) string {
	last := "0"
	if strings.HasSuffix(hash, "0") {
		last = "1"
	}
	return hash[:len(hash)-1] + last
}

// Whatever else is wrong with the evidence is an error as well, with the sentinel of its check.
func TestRun_EndsAtWhatTheHardwareDoesNotProve(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		hardware []quotetest.Option
		change   func(*phalatest.Server)
		policy   func(*attest.Policy)
		is       error
	}{
		"another app": {change: func(s *phalatest.Server) {
			s.BootInstead("web-1", func(sp *quotetest.Spec) { sp.AppID = kms.AppID{1} })
		}, is: attest.ErrAppID},
		"another KMS": {change: func(s *phalatest.Server) {
			s.BootInstead("web-1", func(sp *quotetest.Spec) { sp.KeyProvider = attest.KeyProvider{} })
		}, is: attest.ErrKeyProvider},
		"another instance": {change: func(s *phalatest.Server) {
			s.BootInstead("web-1", func(sp *quotetest.Spec) { sp.InstanceID = strings.Repeat("ab", 20) })
		}, is: attest.ErrInstanceID},
		"another image": {change: func(s *phalatest.Server) {
			s.BootInstead("web-1", func(sp *quotetest.Spec) { sp.OSImageHash = [32]byte{1} })
		}, is: attest.ErrOSImage},
		"under debug": {change: func(s *phalatest.Server) {
			s.ForgeQuote("web-1", quotetest.ChangeQuote(func(q *attest.Quote) { q.TDAttributes[0] = 1 }))
		}, is: attest.ErrDebug},
		"another firmware": {change: func(s *phalatest.Server) {
			s.ForgeQuote("web-1", quotetest.ChangeQuote(func(q *attest.Quote) { q.MRTD[0] ^= 1 }))
		}, is: attest.ErrMeasurement},
		"an event more": {change: func(s *phalatest.Server) {
			s.ForgeQuote("web-1", quotetest.ChangeLog(func(log []attest.Event) []attest.Event {
				return slices.DeleteFunc(log, func(e attest.Event) bool { return e.Name == "system-ready" })
			}))
		}, is: attest.ErrMissingEvent},
		"a forged quote": {change: func(s *phalatest.Server) {
			s.TamperEvidence("web-1", func(e *attest.Evidence) { e.Quote[600] ^= 1 })
		}, is: attest.ErrQuoteSignature},
		"a torn quote": {change: func(s *phalatest.Server) {
			s.TamperEvidence("web-1", func(e *attest.Evidence) { e.Quote = e.Quote[:700] })
		}, is: attest.ErrQuote},
		"a revoked machine":        {hardware: []quotetest.Option{quotetest.WithRevokedPCK()}, is: attest.ErrRevoked},
		"a machine out of date":    {hardware: []quotetest.Option{quotetest.WithTCBStatus(attest.OutOfDate)}, is: attest.ErrTCBStatus},
		"another app is expected":  {policy: func(p *attest.Policy) { p.AppID = kms.AppID{1} }, is: attest.ErrAppID},
		"another hash is expected": {policy: func(p *attest.Policy) { p.ComposeHashes = []compose.Hash{{1}} }, is: attest.ErrComposeHash},
		"Intel is expected":        {policy: func(p *attest.Policy) { p.Roots = nil }, is: attest.ErrQuoteSignature},
		"another device":           {policy: func(p *attest.Policy) { p.Devices = p.Devices[1:] }, is: attest.ErrDevice},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := phalatest.New(t, phalatest.WithHardware(tt.hardware...))
				c, err := s.Client()
				require.NoError(t, err)
				if tt.change != nil {
					tt.change(s)
				}
				policy := s.AttestationPolicy()
				if tt.policy != nil {
					tt.policy(&policy)
				}
				var seen *attest.Report
				_, err = deploy.Run(t.Context(), c, spec(t), pinning(s, deploy.WithVerification(policy),
					deploy.WithProgress(func(e deploy.Event) {
						if e, ok := e.(deploy.AttestationEvent); ok {
							seen = e.Report
							assert.Contains(t, e.String(), "not verified by hardware: ")
						}
					}))...)
				require.ErrorIs(t, err, tt.is)
				var unverified *deploy.VerificationError
				require.ErrorAs(t, err, &unverified)
				assert.Same(t, seen, unverified.Report)
			})
		})
	}
}

// Without a policy only what is there and wrong is an error; what is missing is in the result.
func TestRun_ReportsMissingEvidenceWithoutAPolicy(t *testing.T) {
	t.Parallel()
	private := func(t *testing.T) deploy.Spec {
		sp := spec(t)
		sp.Compose.PublicTCBInfo = openapi.Ptr(false)
		return sp
	}
	quoteless := func(s *phalatest.Server) {
		s.TamperEvidence("web-1", func(e *attest.Evidence) { e.Quote = nil })
	}
	for name, tt := range map[string]struct {
		spec   func(*testing.T) deploy.Spec
		change func(*phalatest.Server)
		reason string
	}{
		"private":           {private, func(*phalatest.Server) {}, "attestation of the CVM is private"},
		"no quote":          {func(t *testing.T) deploy.Spec { return spec(t) }, quoteless, "no evidence"},
		"the API is broken": {func(t *testing.T) deploy.Spec { return spec(t) }, broken, "no evidence"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, c, with := cloud(t)
				tt.change(s)
				began := time.Now()
				app, st := deployed(t, c, tt.spec(t), pinning(s)...)
				assert.Nil(t, app.Last.Report)
				assert.Empty(t, app.KeyProvider)
				assert.False(t, app.OS.Measured)
				missing := check(t, app.Last.Comparisons, deploy.ComparedAttestation)
				assert.Equal(t, deploy.Undecided, missing.Outcome)
				assert.Contains(t, missing.Reason, tt.reason)
				assert.Less(t, time.Since(began), 3*time.Minute, "it is waited for, but not for ever")

				_, err := deploy.Resume(t.Context(), c, tt.spec(t), st, with.run...)
				require.ErrorIs(t, err, attest.ErrNotPossible, "with a policy it is an error")
				var unverified *deploy.VerificationError
				require.ErrorAs(t, err, &unverified)
				assert.Nil(t, unverified.Report)
			})
		})
	}
}

// Evidence without collateral leaves the rest of the report to be read.
func TestRun_TakesAnIncompleteReportWithoutAPolicy(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*phalatest.Server)
		open   attest.CheckName
		is     error
	}{
		"no collateral": {refuseCollateral, attest.CheckCollateral, nil},
		"another text, and no collateral": {func(s *phalatest.Server) {
			refuseCollateral(s)
			s.BootInstead("web-1", func(sp *quotetest.Spec) { sp.AppCompose = flipped(sp.AppCompose) })
		}, "", attest.ErrComposeHash},
		"forged collateral": {forgeCollateral, "", attest.ErrCollateral},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, c, _ := cloud(t)
				tt.change(s)
				policy := attest.Policy{Roots: s.AttestationPolicy().Roots}
				if tt.is != nil {
					_, err := deploy.Run(t.Context(), c, spec(t), pinning(s, deploy.ByDefault(policy))...)
					require.ErrorIs(t, err, tt.is)
					return
				}
				app, st := deployed(t, c, spec(t), pinning(s, deploy.ByDefault(policy))...)
				incomplete := check(t, app.Last.Comparisons, deploy.ComparedAttestation)
				assert.Equal(t, deploy.Undecided, incomplete.Outcome)
				assert.Contains(t, incomplete.Reason, string(tt.open))
				report := app.Last.Report
				assert.False(t, report.Verified)
				assert.Equal(t, attest.NotPossible, report.Check(tt.open).Outcome)
				assert.Equal(t, attest.Passed, report.Check(attest.CheckComposeHash).Outcome)
				assert.Empty(t, app.KeyProvider, "nothing is learned from a report that is not verified")

				_, err := deploy.Resume(t.Context(), c, spec(t), st, deploy.WithVerification(policy))
				require.ErrorIs(t, err, attest.ErrNotPossible)
			})
		})
	}
}

func broken(s *phalatest.Server) {
	for _, operation := range []string{"Apps.GetAttestations", "CVMs.GetAttestation"} {
		s.Fault(operation, phalatest.Fault{Status: http.StatusInternalServerError, Times: -1})
	}
}

func TestRun_RefusesQuotesThatAreNotIntelsByDefault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, _ := cloud(t)
		_, err := deploy.Run(t.Context(), c, spec(t), pinning(s)...)
		require.ErrorIs(t, err, attest.ErrQuoteSignature)
	})
}

func TestRun_SkipsTheVerificationOnlyByName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		r, err := deploy.Run(t.Context(), c, spec(t), pinning(s, deploy.SkipVerification())...)
		require.NoError(t, err)
		assert.Nil(t, r.Last.Report)
		assert.Equal(t, deploy.Comparison{Name: deploy.ComparedAttestation, Outcome: deploy.Waived, Reason: "SkipVerification"}, r.Last.Comparisons[len(r.Last.Comparisons)-1])
		assert.NotContains(t, operations(s), "Apps.GetAttestations")

		for want, opts := range map[string][]deploy.Option{
			"exclude one another":                          append(with.run, deploy.SkipVerification()),
			attest.ErrPolicy.Error():                       {deploy.WithVerification(attest.Policy{TCBStatuses: []attest.TCBStatus{attest.Revoked}})},
			`"quote" is not a check that`:                  {deploy.WithVerification(attest.Policy{Waive: []attest.CheckName{attest.CheckQuote}})},
			"instance id \"nonsense\": 8 characters, want": {deploy.WithVerification(attest.Policy{InstanceID: "nonsense"})},
		} {
			before := len(s.Requests())
			_, err := deploy.Run(t.Context(), c, spec(t), opts...)
			require.ErrorContains(t, err, want)
			assert.Len(t, s.Requests(), before, "nothing was sent")
		}
	})
}

func TestRun_WaitsForEvidence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		asked := 0
		s.TamperResponse("Apps.GetAttestations", func(status int, body []byte) (int, []byte) {
			if asked++; asked > 4 {
				return status, body
			}
			return status, rewritten(body, func(m map[string]any) { m["instances"] = []any{} })
		})
		s.Fault("CVMs.GetAttestation", phalatest.Fault{Status: http.StatusBadGateway, Times: -1})
		r, err := deploy.Run(t.Context(), c, spec(t), with.run...)
		require.NoError(t, err)
		assert.True(t, r.Last.Report.Verified)
		assert.Equal(t, 5, asked)
	})
}

func TestRun_ReturnsTheErrorOfAContextThatEndsInTheWaitForEvidence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		s.TamperEvidence("web-1", func(e *attest.Evidence) { e.Quote = nil })
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		_, err := deploy.Run(ctx, c, spec(t), with.run...)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		var unverified *deploy.VerificationError
		require.NotErrorAs(t, err, &unverified, "nothing is said of the CVM")
	})
}

// The evidence of one CVM has its quote within a certificate; it serves where that of the app is missing.
func TestRun_TakesTheEvidenceOfTheCVMAsWell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		s.TamperResponse("Apps.GetAttestations", func(int, []byte) (int, []byte) { return http.StatusNotFound, []byte(`{}`) })
		r, err := deploy.Run(t.Context(), c, spec(t), with.run...)
		require.NoError(t, err)
		assert.True(t, r.Last.Report.Verified)
		assert.Equal(t, attest.Passed, r.Last.Report.Check(attest.CheckInstanceID).Outcome)
	})
}

// Where the policy names no source, collateral comes from the cloud, which is not trusted for it.
func TestRun_TakesCollateralFromTheCloud(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*phalatest.Server)
		public bool
		is     error
	}{
		"uploaded":            {func(*phalatest.Server) {}, true, nil},
		"refused":             {refuseCollateral, true, attest.ErrNotPossible},
		"with another signer": {forgeCollateral, true, attest.ErrCollateral},
		"of a private quote":  {func(s *phalatest.Server) { showPrivately(s) }, false, attest.ErrNotPossible},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, c, _ := cloud(t)
				tt.change(s)
				policy := s.AttestationPolicy()
				policy.Collateral = nil
				r, err := deploy.Run(t.Context(), c, spec(t), pinning(s, deploy.WithVerification(policy))...)
				if tt.is != nil {
					require.ErrorIs(t, err, tt.is)
				} else {
					require.NoError(t, err)
					assert.True(t, r.Last.Report.Verified)
				}
				assert.Equal(t, tt.public, slices.Contains(operations(s), "Attestations.Verify"), "what is private is not uploaded")
			})
		})
	}
}

func refuseCollateral(s *phalatest.Server) {
	s.Fault("Attestations.Verify", phalatest.Fault{Status: http.StatusBadRequest, Times: -1})
}

func forgeCollateral(s *phalatest.Server) {
	s.TamperResponse("Attestations.Verify", func(status int, body []byte) (int, []byte) {
		return status, rewritten(body, func(m map[string]any) {
			collateral := m["quote_collateral"].(map[string]any)
			collateral["tcb_info"] = strings.Replace(collateral["tcb_info"].(string), "UpToDate", "UpToDatE", 1)
		})
	})
}

// showPrivately says of the CVM that it keeps its evidence private, and shows it nevertheless, as to its owner.
func showPrivately(s *phalatest.Server) {
	s.TamperResponse("CVMs.Get", func(status int, body []byte) (int, []byte) {
		return status, rewritten(body, func(m map[string]any) { m["public_tcbinfo"] = false })
	})
}

func TestUpdate_VerifiesWhatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		app, err := deploy.Update(t.Context(), c, running(t, c, with), script("echo 1"), with.change...)
		require.NoError(t, err)
		report := app.Last.Report
		assert.True(t, report.Verified)
		assert.Equal(t, app.ComposeHash, report.Attested.ComposeHash)

		s.BootInstead("web-1", func(sp *quotetest.Spec) { sp.AppCompose = flipped(sp.AppCompose) })
		_, err = deploy.Replicate(t.Context(), c, app, deploy.ReplicaSpec{}, with.change...)
		require.ErrorIs(t, err, attest.ErrComposeHash, "the replica has the same name, so its evidence is forged, too")
		var unverified *deploy.VerificationError
		require.ErrorAs(t, err, &unverified)
		assert.NotErrorIs(t, err, attest.ErrAppID)
		assert.NotEqual(t, app.CVMs[0].ID, unverified.CVM)

		_, err = deploy.Update(t.Context(), c, app, script("echo 2"), with.change...)
		require.ErrorIs(t, err, attest.ErrComposeHash)
		assert.True(t, report.Verified)
	})
}

// After an update the cloud may go on for a while showing the evidence of the boot before.
func TestUpdate_WaitsForEvidenceThatIsNewer(t *testing.T) {
	t.Parallel()
	for name, stale := range map[string]time.Duration{"for a while": 20 * time.Second, "for ever": time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, c, with := cloud(t)
				before := running(t, c, with)
				evidence, err := c.Apps.GetAttestations(t.Context(), before.ID.String())
				require.NoError(t, err)
				old, err := attest.FromApp(evidence)
				require.NoError(t, err)
				began := time.Now()
				s.TamperEvidence("web-1", func(e *attest.Evidence) {
					if time.Since(began) < stale {
						*e = old[0]
					}
				})
				done, err := deploy.Update(t.Context(), c, before, script("echo 1"), with.change...)
				if stale == time.Hour {
					require.ErrorIs(t, err, attest.ErrComposeHash)
					assert.Less(t, time.Since(began), 3*time.Minute)
					return
				}
				require.NoError(t, err)
				assert.True(t, done.Last.Report.Verified)
				assert.GreaterOrEqual(t, time.Since(began), stale)
			})
		})
	}
}

// A first boot has no evidence from before: what is wrong is wrong at once.
func TestRun_DoesNotWaitForOtherEvidenceOfAFirstBoot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		s.TamperEvidence("web-1", func(e *attest.Evidence) { e.AppCompose += " " })
		began := time.Now()
		_, err := deploy.Run(t.Context(), c, spec(t), with.run...)
		require.ErrorIs(t, err, attest.ErrComposeText)
		assert.Less(t, time.Since(began), 30*time.Second)
	})
}

// The contract of the KMS names the CA that the hardware must have measured.
func TestRun_ProvesTheKMSOfTheContract(t *testing.T) {
	t.Parallel()
	x := newChained(t)
	policy := x.AttestationPolicy()
	policy.KMSRootCAs = nil
	with := func(chain deploy.Chain) []deploy.Option {
		return []deploy.Option{deploy.WithChain(chain), deploy.TrustDeviceFromCloud(), deploy.WithVerification(policy)}
	}
	app, st := deployed(t, x.c, spec(t), with(x.flow)...)
	assert.Equal(t, attest.Passed, app.Last.Report.Check(attest.CheckKeyProvider).Outcome)
	ca, err := x.flow.RootCA(t.Context())
	require.NoError(t, err)
	assert.Equal(t, hex.EncodeToString(ca), app.Last.Report.Attested.KeyProvider.ID)
	assert.Equal(t, hex.EncodeToString(ca), app.KeyProvider)

	x.BootInstead("web-1", func(s *quotetest.Spec) { s.KeyProvider = attest.KeyProvider{} })
	_, err = deploy.Resume(t.Context(), x.c, spec(t), st, with(x.flow)...)
	require.ErrorIs(t, err, attest.ErrKeyProvider)

	_, err = deploy.Resume(t.Context(), x.c, spec(t), st, with(noCA{x.flow})...)
	require.ErrorContains(t, err, "the root CA of the KMS: the endpoint is down")
}

type noCA struct{ onchain.Flow }

func (noCA) RootCA(context.Context) ([]byte, error) { return nil, errors.New("the endpoint is down") }

// The key provider that was measured first is the one that is expected from then on.
func TestUpdate_ExpectsTheKeyProviderOfTheAnchor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		app := running(t, c, with)
		policy := s.AttestationPolicy()
		policy.KMSRootCAs = nil
		s.BootInstead("web-1", func(sp *quotetest.Spec) { sp.KeyProvider.ID = hex.EncodeToString([]byte("another CA")) })
		_, err := deploy.Update(t.Context(), c, app, script("echo 1"), deploy.WithVerification(policy))
		require.ErrorIs(t, err, attest.ErrKeyProvider)
	})
}

// Without evidence nobody can tell how the platform completed a document. The anchor then has none, and no flow that
// needs it goes on.
func TestRun_KeepsNoDocumentThatNothingProves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		sp := spec(t)
		doc, err := compose.New(dockerCompose)
		require.NoError(t, err)
		doc.PublicTCBInfo = openapi.Ptr(false)
		sp.Compose = doc
		app, err := deploy.Run(t.Context(), c, sp, pinning(s)...)
		require.NoError(t, err)
		assert.Empty(t, app.Document)
		assert.Zero(t, app.ComposeHash)
		assert.Contains(t, app.Unproven, "no evidence shows how")
		assert.Equal(t, deploy.Undecided, check(t, app.Last.Comparisons, deploy.ComparedDocument).Outcome)
		_, err = app.Compose()
		require.ErrorContains(t, err, "no evidence shows how")
		_, err = deploy.Update(t.Context(), c, app, deploy.UpdateSpec{Env: secrets()}, with.change...)
		require.ErrorIs(t, err, deploy.ErrUnknownDocument)
		_, err = deploy.Replicate(t.Context(), c, app, deploy.ReplicaSpec{}, with.change...)
		require.ErrorIs(t, err, deploy.ErrUnknownDocument)

		next, err := deploy.Update(t.Context(), c, app, deploy.UpdateSpec{Compose: spec(t).Compose, Env: secrets()}, with.change...)
		require.NoError(t, err, "a whole document needs none before")
		assert.Equal(t, compose.Sum([]byte(next.Document)), next.ComposeHash)
		assert.Empty(t, next.Unproven)
	})
}

// The text of a document may come from anywhere, as its hash is proven.
func TestRun_TakesTheTextFromTheEvidence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		sp := spec(t)
		doc, err := compose.New(dockerCompose)
		require.NoError(t, err)
		sp.Compose = doc
		_, script := s.PreLaunchScript()
		accept := deploy.AcceptPreLaunchScripts(script)
		s.TamperResponse("CVMs.GetComposeFile", func(status int, body []byte) (int, []byte) {
			return status, []byte(strings.ReplaceAll(string(body), "nginx", "miner"))
		})
		app, err := deploy.Run(t.Context(), c, sp, append(with.run, accept)...)
		require.NoError(t, err)
		assert.Contains(t, app.Document, "nginx")
		assert.Equal(t, deploy.Confirmed, check(t, app.Last.Comparisons, deploy.ComparedDocument).Outcome)
	})
}

func TestFlows_ReturnABundleThatVerifiesOffline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		app := running(t, c, with)
		next, err := deploy.Update(t.Context(), c, app, deploy.UpdateSpec{Env: secrets()}, with.change...)
		require.NoError(t, err)
		for _, bundle := range []*attest.Bundle{app.Last.Bundle, next.Last.Bundle} {
			data, err := json.Marshal(bundle)
			require.NoError(t, err)
			var kept attest.Bundle
			require.NoError(t, json.Unmarshal(data, &kept))
			policy := s.AttestationPolicy()
			policy.AppID, policy.ComposeHashes, policy.Collateral = app.ID, []compose.Hash{app.ComposeHash}, nil
			report, err := kept.Verify(t.Context(), policy)
			require.NoError(t, err)
			assert.True(t, report.Verified)
		}
	})
}
