package attest_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/attest/osimage"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/phalatest/quotetest"
)

// now is a fixed clock for everything that is minted here.
func now() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

const appCompose = "{\"manifest_version\":2,\"name\":\"web\",\"runner\":\"docker-compose\",\"docker_compose_file\":\"services: {}\\n\"}"

func newAuthority(tb testing.TB, options ...quotetest.Option) *quotetest.Authority {
	tb.Helper()
	a, err := quotetest.New(append([]quotetest.Option{quotetest.WithNow(now)}, options...)...)
	require.NoError(tb, err)
	return a
}

func sign(tb testing.TB, a *quotetest.Authority, spec quotetest.Spec, changes ...quotetest.Change) attest.Evidence {
	tb.Helper()
	e, err := a.Evidence(spec, changes...)
	require.NoError(tb, err)
	return e
}

func spec() quotetest.Spec {
	nonce, _ := attest.RawReportData([]byte("nonce of the verifier"))
	return quotetest.Spec{
		Name: "web", AppID: kms.AppID{0xa1, 19: 0xa2}, AppCompose: appCompose, ReportData: nonce,
		OSImageHash: [32]byte{7}, InstanceID: strings.Repeat("1b", 20),
	}
}

// strict asks for everything that can be asked for.
func strict(tb testing.TB, a *quotetest.Authority) attest.Policy {
	tb.Helper()
	s := spec()
	q, err := attest.ParseQuote(sign(tb, a, s).Quote)
	require.NoError(tb, err)
	p := a.Policy()
	p.AppID = s.AppID
	p.ComposeHashes = []compose.Hash{compose.Sum([]byte(appCompose))}
	p.InstanceID = s.InstanceID
	p.KMSRootCAs = [][]byte{quotetest.KMSRootCA()}
	p.OSImageHashes = []osimage.ImageHash{s.OSImageHash}
	p.Measurements = []attest.KnownGood{{Name: "test image", MRTD: q.MRTD, RTMR0: q.RTMR[0], RTMR1: q.RTMR[1], RTMR2: q.RTMR[2]}}
	p.Devices = []kms.DeviceID{attest.DeviceID([]byte("quotetest machine"[:16]))}
	p.ReportData = &s.ReportData
	p.Advisories = []string{}
	p.MinTCBEvaluation = 17
	p.Cloud = func(context.Context, []byte) (*openapi.QuoteVerification, error) {
		return &openapi.QuoteVerification{Success: true, Quote: &openapi.ParsedQuote{Verified: openapi.Ptr(true)}}, nil
	}
	p.Checks = []attest.CustomCheck{{Name: "storage", Check: func(_ context.Context, r *attest.Report) error {
		if r.Attested.BootEvents != nil && r.Attested.StorageFS != "zfs" {
			return errors.New("want zfs")
		}
		return nil
	}}}
	return p
}

// sentinels are all errors that a check can fail with.
func sentinels() []error {
	return []error{
		attest.ErrQuote, attest.ErrQuoteSignature, attest.ErrCollateral, attest.ErrCollateralExpired, attest.ErrClock,
		attest.ErrRevoked, attest.ErrTDXModule, attest.ErrQEIdentity, attest.ErrTCBEvaluation, attest.ErrTCBStatus,
		attest.ErrAdvisory, attest.ErrSecondOpinion, attest.ErrDebug, attest.ErrSEPTVE, attest.ErrMigratable,
		attest.ErrAttributes, attest.ErrServiceTD, attest.ErrMeasurement, attest.ErrEventLog, attest.ErrEventDigest,
		attest.ErrEventPreimage, attest.ErrReplay, attest.ErrMissingEvent, attest.ErrDuplicateEvent, attest.ErrAppID,
		attest.ErrComposeHash, attest.ErrComposeText, attest.ErrInstanceID, attest.ErrKeyProvider, attest.ErrOSImage,
		attest.ErrDevelopmentOS, attest.ErrMRConfigID, attest.ErrReportData, attest.ErrDevice, attest.ErrCloud, attest.ErrCustom,
	}
}

// requireOnly wants the error to be the given ones, and no other that a check can fail with.
func requireOnly(t *testing.T, err error, want ...error) {
	t.Helper()
	require.Error(t, err)
	for _, sentinel := range sentinels() {
		assert.Equal(t, slices.Contains(want, sentinel), errors.Is(err, sentinel), "%v in %v", sentinel, err)
	}
}

func TestVerify_PassesEveryCheck(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	for _, form := range []struct{ log, config int }{{1, 1}, {2, 1}, {1, 2}, {1, 3}, {2, 3}} {
		s := spec()
		s.LogVersion, s.ConfigVersion = form.log, form.config
		s.Events = []attest.Event{{Name: "app-id", Payload: []byte("after system-ready: the app's own")}}
		e := sign(t, a, s)
		r, err := attest.Verify(t.Context(), e, strict(t, a))
		require.NoError(t, err)
		assert.True(t, r.Verified)
		for _, c := range r.Checks {
			want := attest.Passed
			if c.Name == attest.CheckServiceTD || c.Name == attest.CheckProductionOS {
				want = attest.NotAsked // TD 1.0 has none; nothing states the image
			}
			assert.Equal(t, want, c.Outcome, c.Name)
			assert.False(t, c.Waived, c.Name)
		}
		assert.Equal(t, s.AppID, r.Attested.AppID)
		assert.Equal(t, compose.Sum([]byte(appCompose)), r.Attested.ComposeHash)
		assert.Equal(t, s.InstanceID, r.Attested.InstanceID)
		assert.Equal(t, "kms", r.Attested.KeyProvider.Name)
		assert.Equal(t, "zfs", r.Attested.StorageFS)
		assert.Equal(t, attest.UpToDate, r.Attested.TCB.Platform.Status)
	}
}

// Without anything to compare with, the report must say so of each check, and pass none of them.
func TestReport_NotAsked(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	e := sign(t, a, spec())
	e.AppID, e.InstanceID = kms.AppID{}, ""
	r, err := attest.Verify(t.Context(), e, a.Policy())
	require.NoError(t, err)
	for _, name := range []attest.CheckName{
		attest.CheckAdvisories, attest.CheckMeasurements, attest.CheckAppID, attest.CheckComposeHash,
		attest.CheckInstanceID, attest.CheckKeyProvider, attest.CheckOSImage, attest.CheckReportData,
		attest.CheckDevice, attest.CheckCloud,
	} {
		require.NotNil(t, r.Check(name), name)
		assert.Equal(t, attest.NotAsked, r.Check(name).Outcome, name)
	}
	assert.Contains(t, r.String(), "measurements        not asked")
	data, err := r.JSON()
	require.NoError(t, err)
	var back struct {
		Checks []attest.Check
	}
	require.NoError(t, json.Unmarshal(data, &back))
	assert.Len(t, back.Checks, len(r.Checks))
}

// position gives where in RTMR3 an event is.
func position(log []attest.Event, name string) int {
	return slices.IndexFunc(log, func(e attest.Event) bool { return e.Name == name })
}

func event(t *testing.T, name string, payload []byte) attest.Event {
	t.Helper()
	e, err := quotetest.RuntimeEvent(1, name, payload)
	require.NoError(t, err)
	return e
}

// TestVerify_RefusesEachForgery changes one thing each. The evidence of the honest spec passes under the same policy.
func TestVerify_RefusesEachForgery(t *testing.T) {
	t.Parallel()
	for _, forgery := range []struct {
		name      string
		authority []quotetest.Option
		spec      func(*quotetest.Spec)
		hardware  []quotetest.Change
		evidence  func(*testing.T, *attest.Evidence)
		policy    func(*attest.Policy)
		want      []error
		check     attest.CheckName
	}{
		{
			name:     "another compose text",
			evidence: func(_ *testing.T, e *attest.Evidence) { e.AppCompose = strings.Replace(e.AppCompose, "web", "wab", 1) },
			want:     []error{attest.ErrComposeText}, check: attest.CheckComposeText,
		},
		{
			name: "compose text with other white space",
			evidence: func(_ *testing.T, e *attest.Evidence) {
				e.AppCompose = strings.Replace(e.AppCompose, `"name":`, `"name": `, 1)
			},
			want: []error{attest.ErrComposeText}, check: attest.CheckComposeText,
		},
		{
			name: "another compose file runs",
			spec: func(s *quotetest.Spec) { s.AppCompose = `{"name":"other"}` },
			want: []error{attest.ErrComposeHash}, check: attest.CheckComposeHash,
		},
		{
			name: "neither text nor expected hash",
			evidence: func(_ *testing.T, e *attest.Evidence) {
				e.AppCompose = ""
			},
			policy: func(p *attest.Policy) { p.ComposeHashes = nil },
			want:   []error{attest.ErrComposeText}, check: attest.CheckComposeText,
		},
		{
			name: "log event removed",
			evidence: func(_ *testing.T, e *attest.Evidence) {
				e.EventLog = slices.Delete(slices.Clone(e.EventLog), 3, 4)
			},
			want: []error{attest.ErrReplay}, check: attest.CheckEventLog,
		},
		{
			name: "runtime event removed",
			evidence: func(_ *testing.T, e *attest.Evidence) {
				i := position(e.EventLog, "boot-mr-done")
				e.EventLog = slices.Delete(slices.Clone(e.EventLog), i, i+1)
			},
			want: []error{attest.ErrReplay}, check: attest.CheckEventLog,
		},
		{
			name:     "no log",
			evidence: func(_ *testing.T, e *attest.Evidence) { e.EventLog = nil },
			want:     []error{attest.ErrEventLog}, check: attest.CheckEventLog,
		},
		{
			name: "event added to the log after system-ready",
			evidence: func(t *testing.T, e *attest.Evidence) {
				e.EventLog = append(slices.Clone(e.EventLog), event(t, "later", nil))
			},
			want: []error{attest.ErrReplay}, check: attest.CheckEventLog,
		},
		{
			name: "the app measures an app id after system-ready",
			spec: func(s *quotetest.Spec) {
				s.Events = []attest.Event{{Name: "app-id", Payload: s.AppID[:]}}
				s.AppID = kms.AppID{0xbb}
			},
			want: []error{attest.ErrAppID}, check: attest.CheckAppID,
		},
		{
			name: "the app measures a missing key provider after system-ready",
			hardware: []quotetest.Change{quotetest.ChangeLog(func(log []attest.Event) []attest.Event {
				i := position(log, "key-provider")
				provider := log[i]
				return append(slices.Delete(log, i, i+1), provider)
			})},
			want: []error{attest.ErrKeyProvider}, check: attest.CheckKeyProvider,
		},
		{
			name: "event duplicated in the log",
			evidence: func(_ *testing.T, e *attest.Evidence) {
				i := position(e.EventLog, "app-id")
				e.EventLog = slices.Insert(slices.Clone(e.EventLog), i, e.EventLog[i])
			},
			want: []error{attest.ErrReplay}, check: attest.CheckEventLog,
		},
		{
			name: "event measured twice",
			hardware: []quotetest.Change{quotetest.ChangeLog(func(log []attest.Event) []attest.Event {
				i := position(log, "compose-hash")
				return slices.Insert(log, i, log[i])
			})},
			want: []error{attest.ErrDuplicateEvent}, check: attest.CheckBootEvents,
		},
		{
			name: "events reordered",
			evidence: func(_ *testing.T, e *attest.Evidence) {
				e.EventLog = slices.Clone(e.EventLog)
				i := position(e.EventLog, "app-id")
				e.EventLog[i], e.EventLog[i+1] = e.EventLog[i+1], e.EventLog[i]
			},
			want: []error{attest.ErrReplay}, check: attest.CheckEventLog,
		},
		{
			name: "digest is not that of the payload",
			evidence: func(_ *testing.T, e *attest.Evidence) {
				e.EventLog = slices.Clone(e.EventLog)
				e.EventLog[position(e.EventLog, "compose-hash")].Payload = make([]byte, 32)
			},
			want: []error{attest.ErrEventDigest}, check: attest.CheckEventLog,
		},
		{
			name: "empty digest with another payload",
			evidence: func(_ *testing.T, e *attest.Evidence) {
				e.EventLog = slices.Clone(e.EventLog)
				forged := &e.EventLog[position(e.EventLog, "compose-hash")]
				forged.Payload, forged.Digest = make([]byte, 32), nil
			},
			want: []error{attest.ErrReplay}, check: attest.CheckEventLog,
		},
		{
			name: "boot event without digest",
			evidence: func(_ *testing.T, e *attest.Evidence) {
				e.EventLog = slices.Clone(e.EventLog)
				e.EventLog[0].Digest = nil
			},
			want: []error{attest.ErrEventDigest}, check: attest.CheckEventLog,
		},
		{
			name: "another event type, so that the digest could not be computed",
			evidence: func(_ *testing.T, e *attest.Evidence) {
				e.EventLog = slices.Clone(e.EventLog)
				forged := &e.EventLog[position(e.EventLog, "compose-hash")]
				forged.Type, forged.Payload = 1, make([]byte, 32)
			},
			want: []error{attest.ErrEventLog}, check: attest.CheckEventLog,
		},
		{
			name: "second form without preimage",
			spec: func(s *quotetest.Spec) { s.LogVersion = 2 },
			evidence: func(_ *testing.T, e *attest.Evidence) {
				e.EventLog = slices.Clone(e.EventLog)
				e.EventLog[position(e.EventLog, "app-id")].Preimage = nil
			},
			want: []error{attest.ErrEventPreimage}, check: attest.CheckEventLog,
		},
		{
			name: "first form told as the second",
			evidence: func(t *testing.T, e *attest.Evidence) {
				e.EventLog = slices.Clone(e.EventLog)
				i := position(e.EventLog, "app-id")
				var err error
				e.EventLog[i], err = quotetest.RuntimeEvent(2, "app-id", e.EventLog[i].Payload)
				require.NoError(t, err)
			},
			want: []error{attest.ErrReplay}, check: attest.CheckEventLog,
		},
		{
			name: "an event hidden under a name with a colon",
			spec: func(s *quotetest.Spec) { s.KeyProvider = attest.KeyProvider{Name: "kms", ID: "00"} },
			evidence: func(_ *testing.T, e *attest.Evidence) {
				e.EventLog = slices.Clone(e.EventLog)
				hidden := &e.EventLog[position(e.EventLog, "key-provider")]
				name, payload, _ := strings.Cut("key-provider:"+string(hidden.Payload), `":`)
				hidden.Name, hidden.Payload = name+`"`, []byte(payload)
			},
			want: []error{attest.ErrEventLog}, check: attest.CheckBootEvents,
		},
		{
			name: "system-ready was never reached",
			hardware: []quotetest.Change{quotetest.ChangeLog(func(log []attest.Event) []attest.Event {
				return log[:position(log, "system-ready")]
			})},
			want: []error{attest.ErrMissingEvent}, check: attest.CheckBootEvents,
		},
		{
			name: "100 MiB of log",
			evidence: func(_ *testing.T, e *attest.Evidence) {
				big := attest.Event{IMR: 3, Type: attest.RuntimeEvent, Name: "big", Payload: make([]byte, 1<<20)}
				for range 100 {
					e.EventLog = append(e.EventLog, big)
				}
			},
			want: []error{attest.ErrEventLog}, check: attest.CheckEventLog,
		},
		{
			name: "another app id",
			spec: func(s *quotetest.Spec) { s.AppID = kms.AppID{1} },
			want: []error{attest.ErrAppID}, check: attest.CheckAppID,
		},
		{
			name:     "evidence of another app than the messenger says",
			evidence: func(_ *testing.T, e *attest.Evidence) { e.AppID = kms.AppID{1} },
			want:     []error{attest.ErrAppID}, check: attest.CheckAppID,
		},
		{
			name: "another KMS",
			spec: func(s *quotetest.Spec) { s.KeyProvider = attest.KeyProvider{Name: "kms", ID: "3059"} },
			want: []error{attest.ErrKeyProvider}, check: attest.CheckKeyProvider,
		},
		{
			name: "a local key provider",
			spec: func(s *quotetest.Spec) { s.KeyProvider.Name = "local-sgx" },
			want: []error{attest.ErrKeyProvider}, check: attest.CheckKeyProvider,
		},
		{
			name: "another operating system image",
			spec: func(s *quotetest.Spec) { s.OSImageHash = [32]byte{9} },
			want: []error{attest.ErrOSImage}, check: attest.CheckOSImage,
		},
		{
			name:     "debug bit",
			hardware: []quotetest.Change{quotetest.ChangeQuote(func(q *attest.Quote) { q.TDAttributes[0] |= 1 })},
			want:     []error{attest.ErrDebug}, check: attest.CheckDebug,
		},
		{
			name:     "another firmware",
			hardware: []quotetest.Change{quotetest.ChangeQuote(func(q *attest.Quote) { q.MRTD[5]++ })},
			want:     []error{attest.ErrMeasurement}, check: attest.CheckMeasurements,
		},
		{
			name: "another kernel",
			hardware: []quotetest.Change{quotetest.ChangeLog(func(log []attest.Event) []attest.Event {
				log[11].Digest = make([]byte, 48)
				return log
			})},
			want: []error{attest.ErrMeasurement}, check: attest.CheckMeasurements,
		},
		{
			name:     "mrsignerseam of another module",
			hardware: []quotetest.Change{quotetest.ChangeQuote(func(q *attest.Quote) { q.MRSignerSEAM[0] = 1 })},
			want:     []error{attest.ErrTDXModule}, check: attest.CheckTDXModule,
		},
		{
			name:     "attributes of another module",
			hardware: []quotetest.Change{quotetest.ChangeQuote(func(q *attest.Quote) { q.SEAMAttributes[0] = 1 })},
			want:     []error{attest.ErrTDXModule}, check: attest.CheckTDXModule,
		},
		{
			name:     "another quoting enclave",
			hardware: []quotetest.Change{quotetest.ChangeQuotingEnclave(func(report []byte) { report[128]++ })},
			want:     []error{attest.ErrQEIdentity}, check: attest.CheckQEIdentity,
		},
		{
			name:     "a quoting enclave in debug mode",
			hardware: []quotetest.Change{quotetest.ChangeQuotingEnclave(func(report []byte) { report[48] |= 2 })},
			want:     []error{attest.ErrQEIdentity}, check: attest.CheckQEIdentity,
		},
		{
			name:     "a quoting enclave that did not see the key",
			hardware: []quotetest.Change{quotetest.ChangeQuotingEnclave(func(report []byte) { report[320]++ })},
			want:     []error{attest.ErrQuoteSignature}, check: attest.CheckSignature,
		},
		{
			name:     "mr_config_id of another compose file",
			hardware: []quotetest.Change{quotetest.ChangeQuote(func(q *attest.Quote) { q.MRConfigID[5]++ })},
			want:     []error{attest.ErrMRConfigID}, check: attest.CheckMRConfigID,
		},
		{
			name:     "no mr_config_id, and no compose hash is expected",
			hardware: []quotetest.Change{quotetest.ChangeQuote(func(q *attest.Quote) { q.MRConfigID = attest.Measurement{} })},
			policy:   func(p *attest.Policy) { p.ComposeHashes = nil },
			want:     []error{attest.ErrMRConfigID}, check: attest.CheckMRConfigID,
		},
		{
			name:     "mr_config_id of an unknown form",
			hardware: []quotetest.Change{quotetest.ChangeQuote(func(q *attest.Quote) { q.MRConfigID[0] = 4 })},
			want:     []error{attest.ErrMRConfigID}, check: attest.CheckMRConfigID,
		},
		{
			name: "another document of mr_config_id",
			spec: func(s *quotetest.Spec) { s.ConfigVersion = 3 },
			evidence: func(_ *testing.T, e *attest.Evidence) {
				e.ConfigDocument = strings.Replace(e.ConfigDocument, `"instance_id":"1b`, `"instance_id":"1c`, 1)
			},
			want: []error{attest.ErrMRConfigID}, check: attest.CheckMRConfigID,
		},
		{
			name:     "the host can inject faults",
			hardware: []quotetest.Change{attributes(func(bits uint64) uint64 { return bits &^ (1 << 28) })},
			want:     []error{attest.ErrSEPTVE}, check: attest.CheckSEPTVE,
		},
		{
			name:     "a TD that can be migrated",
			hardware: []quotetest.Change{attributes(func(bits uint64) uint64 { return bits | 1<<29 })},
			want:     []error{attest.ErrMigratable}, check: attest.CheckMigratable,
		},
		{
			name:     "the lowest reserved attribute",
			hardware: []quotetest.Change{attributes(func(bits uint64) uint64 { return bits | 1<<8 })},
			want:     []error{attest.ErrAttributes}, check: attest.CheckReservedAttributes,
		},
		{
			name:     "the highest reserved attribute",
			hardware: []quotetest.Change{attributes(func(bits uint64) uint64 { return bits | 1<<62 })},
			want:     []error{attest.ErrAttributes}, check: attest.CheckReservedAttributes,
		},
		{
			name:     "another debug attribute",
			hardware: []quotetest.Change{attributes(func(bits uint64) uint64 { return bits | 1<<7 })},
			want:     []error{attest.ErrDebug}, check: attest.CheckDebug,
		},
		{
			name: "the image measured twice, with two values",
			hardware: []quotetest.Change{quotetest.ChangeLog(func(log []attest.Event) []attest.Event {
				second, _ := quotetest.RuntimeEvent(1, "os-image-hash", make([]byte, 32))
				return slices.Insert(log, position(log, "os-image-hash")+1, second)
			})},
			want: []error{attest.ErrDuplicateEvent}, check: attest.CheckBootEvents,
		},
		{
			name:     "compose text without the newline at its end",
			spec:     func(s *quotetest.Spec) { s.AppCompose += "\n" },
			evidence: func(_ *testing.T, e *attest.Evidence) { e.AppCompose = appCompose },
			policy:   func(p *attest.Policy) { p.ComposeHashes = nil },
			want:     []error{attest.ErrComposeText}, check: attest.CheckComposeText,
		},
		{
			name: "local key provider with another enclave",
			spec: func(s *quotetest.Spec) { s.KeyProvider = attest.KeyProvider{Name: "local-sgx", ID: "00ff"} },
			policy: func(p *attest.Policy) {
				p.KMSRootCAs, p.KeyProviders = nil, []attest.KeyProvider{{Name: "local-sgx", ID: "00fe"}}
			},
			want: []error{attest.ErrKeyProvider}, check: attest.CheckKeyProvider,
		},
		{
			name: "a TPM in place of the KMS",
			spec: func(s *quotetest.Spec) { s.KeyProvider = attest.KeyProvider{Name: "tpm"} },
			want: []error{attest.ErrKeyProvider}, check: attest.CheckKeyProvider,
		},
		{
			name: "a KMS with other root keys",
			spec: func(s *quotetest.Spec) {
				s.ReportData = attest.KMSReportData(quotetest.KMSRootCA(), kms.RootKey{2, 1})
			},
			policy: func(p *attest.Policy) {
				data := attest.KMSReportData(quotetest.KMSRootCA(), kms.RootKey{2, 2})
				p.ReportData = &data
			},
			want: []error{attest.ErrReportData}, check: attest.CheckReportData,
		},
		{
			name: "a gateway with another account",
			spec: func(s *quotetest.Spec) { s.ReportData = attest.GatewayAccountReportData("https://acme.example/1") },
			policy: func(p *attest.Policy) {
				data := attest.GatewayAccountReportData("https://acme.example/2")
				p.ReportData = &data
			},
			want: []error{attest.ErrReportData}, check: attest.CheckReportData,
		},
		{
			name: "another nonce",
			spec: func(s *quotetest.Spec) { s.ReportData[0]++ },
			want: []error{attest.ErrReportData}, check: attest.CheckReportData,
		},
		{
			name:      "another machine",
			authority: []quotetest.Option{quotetest.WithPPID([16]byte{1})},
			want:      []error{attest.ErrDevice}, check: attest.CheckDevice,
		},
		{
			name:      "another machine, whose guest states the id of the expected one",
			authority: []quotetest.Option{quotetest.WithPPID([16]byte{1})},
			evidence:  func(_ *testing.T, e *attest.Evidence) { e.Device = attest.DeviceID([]byte("quotetest machine"[:16])) },
			want:      []error{attest.ErrDevice}, check: attest.CheckDevice,
		},
		{
			name:      "a certificate that only go-tdx-guest refuses",
			authority: []quotetest.Option{quotetest.WithSHA384()},
			want:      []error{attest.ErrSecondOpinion}, check: attest.CheckSecondOpinion,
		},
		{
			name:      "collateral of an older evaluation",
			authority: []quotetest.Option{quotetest.WithEvaluation(16)},
			want:      []error{attest.ErrTCBEvaluation}, check: attest.CheckTCBEvaluation,
		},
		{
			name:      "stale TCB, a second after the grace period",
			authority: []quotetest.Option{quotetest.WithTCBStatus(attest.OutOfDate), quotetest.WithOutOfDateSince(now().AddDate(0, 0, -30))},
			policy:    func(p *attest.Policy) { p.OutOfDateGrace = 30*24*time.Hour - time.Second },
			want:      []error{attest.ErrTCBStatus}, check: attest.CheckTCBStatus,
		},
		{
			name:      "stale TDX module in capitals",
			authority: []quotetest.Option{quotetest.WithUpperCase(), quotetest.WithModuleStatus(attest.OutOfDate)},
			want:      []error{attest.ErrTCBStatus}, check: attest.CheckTCBStatus,
		},
		{
			name:      "a revoked TCB within the grace period",
			authority: []quotetest.Option{quotetest.WithTCBStatus(attest.Revoked)},
			policy:    func(p *attest.Policy) { p.OutOfDateGrace = 1000 * 24 * time.Hour },
			want:      []error{attest.ErrTCBStatus}, check: attest.CheckTCBStatus,
		},
		{
			name:      "revoked PCK",
			authority: []quotetest.Option{quotetest.WithRevokedPCK()},
			want:      []error{attest.ErrRevoked}, check: attest.CheckRevocation,
		},
		{
			name:      "revoked CA",
			authority: []quotetest.Option{quotetest.WithRevokedCA()},
			want:      []error{attest.ErrRevoked}, check: attest.CheckRevocation,
		},
		{
			name:      "revoked signer of the collateral",
			authority: []quotetest.Option{quotetest.WithRevokedSigner()},
			want:      []error{attest.ErrRevoked}, check: attest.CheckRevocation,
		},
		{
			name:      "expired collateral",
			authority: []quotetest.Option{quotetest.WithCollateralTime(now().AddDate(0, -2, 0), now().Add(-time.Second))},
			want:      []error{attest.ErrCollateralExpired}, check: attest.CheckCollateralTime,
		},
		{
			name:      "clock before the collateral",
			authority: []quotetest.Option{quotetest.WithCollateralTime(now().Add(time.Second), now().AddDate(0, 1, 0))},
			want:      []error{attest.ErrClock}, check: attest.CheckCollateralTime,
		},
		{
			name:   "clock years ahead",
			policy: func(p *attest.Policy) { p.Now = func() time.Time { return now().AddDate(5, 0, 0) } },
			want:   []error{attest.ErrQuoteSignature}, check: attest.CheckSignature,
		},
		{
			name:   "no source of collateral",
			policy: func(p *attest.Policy) { p.Collateral = nil },
			want:   []error{attest.ErrCollateral}, check: attest.CheckCollateral,
		},
		{
			name:   "offline collateral of another platform",
			policy: func(p *attest.Policy) { p.Collateral = attest.OfflineCollateral() },
			want:   []error{attest.ErrCollateral}, check: attest.CheckCollateral,
		},
		{
			name:      "stale TCB of the platform",
			authority: []quotetest.Option{quotetest.WithTCBStatus(attest.OutOfDate)},
			want:      []error{attest.ErrTCBStatus}, check: attest.CheckTCBStatus,
		},
		{
			name: "stale TCB and its advisories, of a platform at a lower level",
			hardware: []quotetest.Change{quotetest.ChangeQuote(func(q *attest.Quote) {
				q.TEETCBSVN[2] = 0
			})},
			want: []error{attest.ErrTCBStatus, attest.ErrAdvisory}, check: attest.CheckTCBStatus,
		},
		{
			name:     "stale TDX module",
			hardware: []quotetest.Change{quotetest.ChangeQuote(func(q *attest.Quote) { q.TEETCBSVN[0] = 2 })},
			want:     []error{attest.ErrTCBStatus}, check: attest.CheckTCBStatus,
		},
		{
			name:     "TDX module below every level",
			hardware: []quotetest.Change{quotetest.ChangeQuote(func(q *attest.Quote) { q.TEETCBSVN[0] = 0 })},
			want:     []error{attest.ErrTCBStatus}, check: attest.CheckTCBStatus,
		},
		{
			name:     "unknown generation of the TDX module",
			hardware: []quotetest.Change{quotetest.ChangeQuote(func(q *attest.Quote) { q.TEETCBSVN[1] = 9 })},
			want:     []error{attest.ErrTCBStatus}, check: attest.CheckTCBStatus,
		},
		{
			name:      "stale quoting enclave",
			authority: []quotetest.Option{quotetest.WithQuotingEnclaveStatus(attest.OutOfDate)},
			want:      []error{attest.ErrTCBStatus}, check: attest.CheckTCBStatus,
		},
		{
			name:      "an advisory that is not accepted",
			authority: []quotetest.Option{quotetest.WithTCBStatus(attest.UpToDate, "INTEL-SA-99999")},
			want:      []error{attest.ErrAdvisory}, check: attest.CheckAdvisories,
		},
		{
			name:     "quote with a changed byte",
			evidence: func(_ *testing.T, e *attest.Evidence) { e.Quote = slices.Clone(e.Quote); e.Quote[600]++ },
			want:     []error{attest.ErrQuoteSignature, attest.ErrReportData}, check: attest.CheckSignature,
		},
		{
			name:     "truncated quote",
			evidence: func(_ *testing.T, e *attest.Evidence) { e.Quote = e.Quote[:3000] },
			want:     []error{attest.ErrQuote}, check: attest.CheckQuote,
		},
		{
			name:     "no quote",
			evidence: func(_ *testing.T, e *attest.Evidence) { e.Quote = nil },
			want:     []error{attest.ErrQuote}, check: attest.CheckQuote,
		},
		{
			name:     "quote with something behind it",
			evidence: func(_ *testing.T, e *attest.Evidence) { e.Quote = append(slices.Clone(e.Quote), 1) },
			want:     []error{attest.ErrQuote}, check: attest.CheckQuote,
		},
		{
			name: "over-long quote",
			evidence: func(_ *testing.T, e *attest.Evidence) {
				e.Quote = append(slices.Clone(e.Quote), make([]byte, 64<<10)...)
			},
			want: []error{attest.ErrQuote}, check: attest.CheckQuote,
		},
		{
			name: "the cloud disagrees",
			policy: func(p *attest.Policy) {
				p.Cloud = func(context.Context, []byte) (*openapi.QuoteVerification, error) {
					return &openapi.QuoteVerification{}, nil
				}
			},
			want: []error{attest.ErrCloud}, check: attest.CheckCloud,
		},
		{
			name: "the cloud cannot be asked",
			policy: func(p *attest.Policy) {
				p.Cloud = func(context.Context, []byte) (*openapi.QuoteVerification, error) { return nil, errors.New("down") }
			},
			want: []error{attest.ErrCloud}, check: attest.CheckCloud,
		},
		{
			name: "a check of the caller's own",
			spec: func(s *quotetest.Spec) { s.StorageFS = "ext4" },
			want: []error{attest.ErrCustom}, check: "storage",
		},
	} {
		t.Run(forgery.name, func(t *testing.T) {
			t.Parallel()
			a := newAuthority(t, forgery.authority...)
			s := spec()
			if forgery.spec != nil {
				forgery.spec(&s)
			}
			e := sign(t, a, s, forgery.hardware...)
			if forgery.evidence != nil {
				forgery.evidence(t, &e)
			}
			p := strict(t, a)
			if forgery.policy != nil {
				forgery.policy(&p)
			}
			r, err := attest.Verify(t.Context(), e, p)
			requireOnly(t, err, forgery.want...)
			require.NotNil(t, r)
			assert.False(t, r.Verified)
			c := r.Check(forgery.check)
			require.NotNil(t, c)
			assert.Contains(t, []attest.Outcome{attest.Failed, attest.NotPossible}, c.Outcome)
			assert.GreaterOrEqual(t, len(r.Checks), 30, "every check must be reported")
			assert.Contains(t, r.String(), "NOT VERIFIED")
		})
	}
}

// attributes changes the attributes of the TD.
func attributes(change func(uint64) uint64) quotetest.Change {
	return quotetest.ChangeQuote(func(q *attest.Quote) {
		binary.LittleEndian.PutUint64(q.TDAttributes[:], change(binary.LittleEndian.Uint64(q.TDAttributes[:])))
	})
}

// A quote and log that are true, but of another CVM of the same app.
func TestVerify_QuoteOfAnotherCVM(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	honest := sign(t, a, spec())
	s := spec()
	s.InstanceID = strings.Repeat("2c", 20)
	other := sign(t, a, s)

	t.Run("with its log", func(t *testing.T) {
		t.Parallel()
		_, err := attest.Verify(t.Context(), other, strict(t, a))
		requireOnly(t, err, attest.ErrInstanceID)
	})
	t.Run("with the log of this one", func(t *testing.T) {
		t.Parallel()
		mixed := honest
		mixed.Quote = other.Quote
		_, err := attest.Verify(t.Context(), mixed, strict(t, a))
		requireOnly(t, err, attest.ErrReplay)
	})
	t.Run("passed off as this one", func(t *testing.T) {
		t.Parallel()
		p := strict(t, a)
		p.InstanceID = ""
		other := other
		other.InstanceID = honest.InstanceID
		_, err := attest.Verify(t.Context(), other, p)
		requireOnly(t, err, attest.ErrInstanceID)
	})
}

// A quote of somebody's own authority, which has all of Intel's names.
func TestVerify_ForgedRoot(t *testing.T) {
	t.Parallel()
	a, forger := newAuthority(t), newAuthority(t)
	e := sign(t, forger, spec())

	t.Run("against the root", func(t *testing.T) {
		t.Parallel()
		before := a.Fetches()
		_, err := attest.Verify(t.Context(), e, strict(t, a))
		requireOnly(t, err, attest.ErrQuoteSignature)
		assert.Equal(t, before, a.Fetches(), "nothing is fetched for an unknown platform")
	})
	t.Run("against Intel's", func(t *testing.T) {
		t.Parallel()
		p := strict(t, forger)
		p.Roots = nil
		_, err := attest.Verify(t.Context(), e, p)
		requireOnly(t, err, attest.ErrQuoteSignature)
	})
	t.Run("forged collateral", func(t *testing.T) {
		t.Parallel()
		p := strict(t, a)
		p.Collateral = newAuthority(t).Collateral
		_, err := attest.Verify(t.Context(), sign(t, a, spec()), p)
		requireOnly(t, err, attest.ErrCollateral)
	})
}

func TestAcceptedTCBStatus(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, quotetest.WithTCBStatus(attest.ConfigurationNeeded, "INTEL-SA-00837"), quotetest.WithModuleStatus(attest.OutOfDate))
	p := strict(t, a)
	p.TCBStatuses = []attest.TCBStatus{attest.UpToDate, attest.ConfigurationNeeded}
	p.Advisories = []string{"INTEL-SA-00837"}
	_, err := attest.Verify(t.Context(), sign(t, a, spec()), p)
	requireOnly(t, err, attest.ErrTCBStatus)

	p.TCBStatuses = append(p.TCBStatuses, attest.OutOfDate)
	r, err := attest.Verify(t.Context(), sign(t, a, spec()), p)
	require.NoError(t, err)
	tcb := r.Attested.TCB
	require.NotNil(t, tcb.Module)
	assert.Equal(t, []attest.TCBStatus{attest.ConfigurationNeeded, attest.OutOfDate, attest.UpToDate},
		[]attest.TCBStatus{tcb.Platform.Status, tcb.Module.Status, tcb.QuotingEnclave.Status})
	assert.Equal(t, attest.OutOfDate, tcb.Status())
	assert.Equal(t, []string{"INTEL-SA-00837"}, tcb.Advisories())
	assert.Equal(t, 17, tcb.Evaluation)

	// What the library would refuse because of the status must still be refused for anything else.
	broken := sign(t, a, spec())
	broken.Quote[600]++
	_, err = attest.Verify(t.Context(), broken, p)
	requireOnly(t, err, attest.ErrQuoteSignature, attest.ErrReportData)
	_, err = attest.Verify(t.Context(), sign(t, a, spec(), quotetest.ChangeQuotingEnclave(func(report []byte) { report[128]++ })), p)
	requireOnly(t, err, attest.ErrQEIdentity)
}

// Quotes of version 5 have the same signatures around a body that says what it is.
func TestVerify_Version5(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	for _, td15 := range []bool{false, true} {
		s := spec()
		s.QuoteVersion, s.TD15 = 5, td15
		e := sign(t, a, s)
		r, err := attest.Verify(t.Context(), e, strict(t, a))
		require.NoError(t, err)
		assert.Equal(t, attest.NotAsked, r.Check(attest.CheckSecondOpinion).Outcome, "go-tdx-guest does not know version 5")
	}
	s := spec()
	s.QuoteVersion, s.TD15 = 5, true
	e := sign(t, a, s, quotetest.ChangeQuote(func(q *attest.Quote) { q.MRServiceTD[0] = 1 }))
	_, err := attest.Verify(t.Context(), e, strict(t, a))
	requireOnly(t, err, attest.ErrServiceTD)
}

// Every bit of a quote counts: one that is signed or signs breaks the signature, any other makes it malformed.
func TestVerify_BitFlips(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	for _, version := range []uint16{4, 5} {
		s := spec()
		s.QuoteVersion, s.TD15 = version, version == 5
		e := sign(t, a, s)
		p := strict(t, a)
		padding := 70
		for at := 0; at < len(e.Quote)-padding; at += 5 + at/97%7 {
			flipped := e
			flipped.Quote = slices.Clone(e.Quote)
			flipped.Quote[at] ^= 1 << (at % 8)
			_, err := attest.Verify(t.Context(), flipped, p)
			if err == nil {
				// The PEM text around the certificates carries no information in places, such as line ends.
				assert.Greater(t, at, 1200, "version %d: the bit in byte %d does not count", version, at)
				continue
			}
			assert.True(t, errors.Is(err, attest.ErrQuoteSignature) || errors.Is(err, attest.ErrQuote), "version %d, byte %d: %v", version, at, err)
		}
	}
}

func TestVerifyAll(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	p := strict(t, a)
	p.InstanceID = ""
	s := spec()
	s.InstanceID = strings.Repeat("2c", 20)
	evidence := []attest.Evidence{sign(t, a, spec()), sign(t, a, s)}
	reports, err := attest.VerifyAll(t.Context(), evidence, p)
	require.NoError(t, err)
	require.Len(t, reports, 2)

	evidence[1].EventLog = nil
	reports, err = attest.VerifyAll(t.Context(), evidence, p)
	requireOnly(t, err, attest.ErrEventLog)
	assert.True(t, reports[0].Verified)
	assert.False(t, reports[1].Verified)

	_, err = attest.VerifyAll(t.Context(), nil, p)
	require.ErrorIs(t, err, attest.ErrNotPossible)
}
